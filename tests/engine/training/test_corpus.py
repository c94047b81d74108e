"""Texts from a folder: every kind of file, those that cannot be read, the held-out split."""

from __future__ import annotations

import json
import lzma
from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.training import corpus
from engine.training.corpus import Document
from tests.engine.training.stories import STORIES


def no_file(folder: Path) -> None:
    pass


def an_empty_file(folder: Path) -> None:
    (folder / "a.txt").write_text(" \n")


def another_kind_of_file(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"\x89PNG")


def binary(folder: Path) -> None:
    (folder / "a.txt").write_bytes(bytes(range(256)))


def binary_that_decodes(folder: Path) -> None:
    (folder / "a.txt").write_bytes(b"text\x00text")


def broken_json(folder: Path) -> None:
    (folder / "a.jsonl").write_text('{"text": "good"}\n{"text": \n')


def json_that_is_no_object(folder: Path) -> None:
    (folder / "a.jsonl").write_text('["text"]\n')


def json_whose_text_is_a_number(folder: Path) -> None:
    (folder / "a.jsonl").write_text('{"text": 5}\n')


def not_compressed(folder: Path) -> None:
    (folder / "a.jsonl.xz").write_bytes(b"no xz")


def cut_off(folder: Path) -> None:
    (folder / "a.jsonl.xz").write_bytes(lzma.compress(json.dumps({"text": "a" * 999}).encode())[:-20])


SPOILT = [no_file, an_empty_file, another_kind_of_file, binary, binary_that_decodes, broken_json]
SPOILT += [json_that_is_no_object, json_whose_text_is_a_number, not_compressed, cut_off]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_folder_without_readable_text_is_refused_with_a_sentence(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
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
