"""Texts from a folder: every kind of file, those that cannot be read, the held-out split."""

from __future__ import annotations

import json
import lzma
from codecs import BOM_UTF8
from pathlib import Path

import pytest
from spoiling import Spoil, holding, lacking

from engine.errors import BadInput
from engine.training import corpus
from engine.training.corpus import Document
from tests.engine.training.stories import STORIES

SPOILT: dict[str, Spoil] = {
    "no file": lacking("*"),
    "an empty file": holding("a.txt", " \n"),
    "another kind of file": holding("a.png", b"\x89PNG"),
    "binary": holding("a.txt", bytes(range(256))),
    "binary that decodes": holding("a.txt", b"text\x00text"),
    "broken JSON": holding("a.jsonl", '{"text": "good"}\n{"text": \n'),
    "JSON that is no object": holding("a.jsonl", '["text"]\n'),
    "JSON whose text is a number": holding("a.jsonl", '{"text": 5}\n'),
    "not compressed": holding("a.jsonl.xz", b"no xz"),
    "cut off": holding("a.jsonl.xz", lzma.compress(json.dumps({"text": "a" * 999}).encode())[:-20]),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_folder_without_readable_text_is_refused_with_a_sentence(spoil: Spoil, tmp_path: Path) -> None:
    spoil(tmp_path)
    with pytest.raises(BadInput) as caught:
        corpus.read_folder(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_documents_are_read_from_every_kind_of_file_without_duplicates(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One fox.\n\n\nTwo  “foxes”—\tand more.<|endoftext|>Three.")
    (tmp_path / "b.jsonl").write_text('{"text": "ONE FOX!"}\n{"story": "Four.", "prompt": "Say four."}\n{"other": 1}\n')
    (tmp_path / "c.jsonl.xz").write_bytes(lzma.compress(b'{"text": "Five."}\n'))
    found = corpus.read_folder(tmp_path)
    assert [document.text for document in found] == ["One fox.", 'Two "foxes" - and more.', "Three.", "Four.", "Five."]
    assert found[3].prompt == "Say four."
    for path in tmp_path.glob("*.*"):
        data = path.read_bytes()
        path.write_bytes(lzma.compress(BOM_UTF8 + lzma.decompress(data)) if path.suffix == ".xz" else BOM_UTF8 + data)
    assert corpus.read_folder(tmp_path) == found


def test_the_held_out_split_is_disjoint_and_a_document_never_changes_sides() -> None:
    documents = [Document(text) for text in STORIES * 4]
    documents = [Document(f"{document.text} {i}") for i, document in enumerate(documents)]
    train_side, heldout = corpus.split_heldout(documents)
    assert heldout
    assert not set(train_side) & set(heldout)
    assert len(train_side) + len(heldout) == len(documents)
    some = documents[::3]
    fewer_train, fewer_heldout = corpus.split_heldout(some[::-1])
    assert set(fewer_heldout) == set(heldout) & set(some)
    assert set(fewer_train) == set(train_side) & set(some)


def test_few_documents_still_leave_one_to_hold_out() -> None:
    train_side, heldout = corpus.split_heldout([Document("One fox."), Document("Two foxes.")])
    assert len(train_side) == len(heldout) == 1
