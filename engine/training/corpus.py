"""Text corpora on disk as documents in memory.

Knows file formats and how to drop duplicates and split off held-out documents. Knows nothing of
tokens, prompts or models.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from engine.errors import BadInput

HELDOUT_SHARE = 0.02
_PLAIN = str.maketrans(dict(zip("“”‘’–", "\"\"''-", strict=True)) | {"—": " - ", "…": "..."})
Kind = Literal["story", "dialogue", "prose"]
KNOWN_FILES: dict[str, Kind] = {
    "stories/tinystories.train.jsonl.xz": "story",
    "stories/tinystories.extra-recased.jsonl.xz": "story",
    "stories/simplestories-sample.jsonl.xz": "story",
    "stories/picturebooks.jsonl.xz": "story",
    "stories/tinyfables.jsonl.xz": "story",
    "prose/childrens-classics.jsonl.xz": "prose",
    "dialogue/taskmaster4-coffee.jsonl.xz": "dialogue",
    "dialogue/sgd.train.jsonl.xz": "dialogue",
}
"""The project's own corpus; what else its folder holds is for evaluation."""


@dataclass(frozen=True)
class Document:
    """One story, book or dialogue: its text and, where the source has them, its prompt or its turns."""

    text: str
    prompt: str | None = None
    kind: Kind = "story"
    turns: tuple[str, ...] = ()
    """What user and assistant say, in turn."""


def read_folder(folder: Path) -> list[Document]:
    """All documents of a corpus folder, duplicates dropped, in a fixed order.

    A folder with the project's own files is read by their names; any other folder is read as `.txt`
    files (stories parted by blank-line pairs or one per file) and `.jsonl[.xz]` files with a `text`,
    `story` or `turns` field, all as stories or dialogues.

    Raises BadInput where the folder holds no readable text.
    """
    if not folder.is_dir():
        raise BadInput(f"The data folder {folder} does not exist; give a folder of text files.")
    known = {folder / name: kind for name, kind in KNOWN_FILES.items() if (folder / name).is_file()}
    paths = known or dict.fromkeys(sorted(p for p in folder.rglob("*") if _is_text_file(p)))
    documents = list(drop_duplicates(d for path, kind in paths.items() for d in read_file(path, kind)))
    if not documents:
        raise BadInput(f"No text found in {folder}; wanted .txt, .jsonl or .jsonl.xz files.")
    return documents


def read_file(path: Path, kind: Kind | None = None) -> Iterator[Document]:
    """Documents of one file, of the kind that is given or that they look like.

    Raises BadInput where it is not UTF-8 text.
    """
    try:
        for document in _read_jsonl(path) if ".jsonl" in path.name else _read_text(path):
            yield replace(document, kind=kind) if kind else document
    except (UnicodeDecodeError, lzma.LZMAError, EOFError, json.JSONDecodeError) as error:
        raise BadInput(f"{path} is not readable UTF-8 text or JSON lines: {error}.") from error


def drop_duplicates(documents: Iterable[Document]) -> Iterator[Document]:
    """Documents whose letters were not seen before (case, spaces and punctuation ignored)."""
    seen: set[bytes] = set()
    for document in documents:
        if (key := _letters_key(document.text)) not in seen:
            seen.add(key)
            yield document


def split_heldout(documents: list[Document]) -> tuple[list[Document], list[Document]]:
    """(train, held-out), decided by each document's own letters, so it never changes sides."""
    train: list[Document] = []
    heldout: list[Document] = []
    for document in documents:
        share = int.from_bytes(_letters_key(document.text)[:4], "big") / 2**32
        (heldout if share < HELDOUT_SHARE else train).append(document)
    if not heldout and len(train) > 1:
        heldout.append(train.pop())
    return train, heldout or train


def _is_text_file(path: Path) -> bool:
    return path.is_file() and path.name.endswith((".txt", ".jsonl", ".jsonl.xz"))


def _letters_key(text: str) -> bytes:
    return hashlib.blake2b(re.sub(r"\W+", "", text).lower().encode(), digest_size=12).digest()


def _read_jsonl(path: Path) -> Iterator[Document]:
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8-sig") as lines:
        for line in lines:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise BadInput(f"{path} has a line that is no JSON object: {line[:60]!r}.")
            text = row.get("text") or row.get("story")
            if text and not isinstance(text, str):
                raise BadInput(f"{path} has a line whose text is no string: {line[:60]!r}.")
            if text:
                yield Document(tidy(text), row.get("prompt"))
            elif turns := tuple(tidy(said) for _, said in row.get("turns") or ()):
                yield Document("\n".join(turns), kind="dialogue", turns=turns)


def _read_text(path: Path) -> Iterator[Document]:
    text = path.read_text(encoding="utf-8-sig")
    if "\x00" in text:
        raise BadInput(f"{path} is binary; wanted UTF-8 text.")
    for part in re.split(r"\n{3,}|<\|endoftext\|>", text):
        if part.strip():
            yield Document(tidy(part))


def tidy(text: str) -> str:
    """Straight quotes, single spaces, at most one blank line between paragraphs."""
    text = text.translate(_PLAIN)
    text = re.sub(r"[ \t\r\f\v]+", " ", text)
    return re.sub(r"\s*\n\s*\n\s*", "\n\n", text).strip()
