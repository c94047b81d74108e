"""A corpus as token ids: a text file, or a file of ids written earlier by `save`.

The ids belong to one vocabulary; a file of ids made with another tokenizer is refused. Read-only,
shared by all sessions of a process.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from engine.errors import BadInput
from engine.facts import TargetFacts

MAX_TOKENS = 1_000_000
SUFFIX = ".npz"


def load(path: str, model: TargetFacts) -> list[int]:
    """Token ids of the corpus, an end-of-text token behind them where there is one.

    Raises BadInput for a file that is missing, empty, too large or made with another tokenizer.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise BadInput(f"There is no corpus file {path!r}; give a text file, or a {SUFFIX} file of token ids.")
    ids = _read_ids(file, model) if file.suffix == SUFFIX else _encode(file, model)
    if not ids:
        raise BadInput(f"The corpus {path} is empty; give a file with some text.")
    if len(ids) > MAX_TOKENS:
        raise BadInput(f"The corpus {path} has {len(ids)} tokens; at most {MAX_TOKENS} are held in memory.")
    return [*ids, *sorted(model.eos_ids)[:1]]


def save(path: str | Path, ids: Sequence[int], model: TargetFacts) -> None:
    """Write token ids with the fingerprint of their vocabulary."""
    np.savez_compressed(path, ids=np.asarray(ids, dtype=np.int64), vocabulary=model.vocabulary_fingerprint)


def _encode(file: Path, model: TargetFacts) -> list[int]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"The corpus {file} is not UTF-8 text ({error}).") from error
    return list(model.tokenizer(text, add_special_tokens=False)["input_ids"]) if text.strip() else []


def _read_ids(file: Path, model: TargetFacts) -> list[int]:
    try:
        with np.load(file, allow_pickle=False) as stored:
            ids, vocabulary = stored["ids"].tolist(), str(stored["vocabulary"])
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise BadInput(f"{file} is no file of corpus ids ({error}).") from error
    if vocabulary != model.vocabulary_fingerprint:
        raise BadInput(
            f"The corpus {file} was turned into ids by another tokenizer (vocabulary {vocabulary}) than that of "
            f"{model.name} ({model.vocabulary_fingerprint}); make it anew from its text."
        )
    return list(ids)
