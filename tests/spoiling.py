"""Folders that are not as they should be: files written over, changed, cut off or taken away."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Spoil = Callable[[Path], object]


def holding(name: str, content: str | bytes) -> Spoil:
    """A file of this name holds this."""
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(data)


def cut_off(name: str, num_bytes: int) -> Spoil:
    """A file lacks its last bytes."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-num_bytes])


def changed(name: str, **entries: Any) -> Spoil:
    """A file of JSON says something else."""
    return lambda folder: (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | entries))


def lacking(pattern: str) -> Spoil:
    """Files are gone."""

    def spoil(folder: Path) -> None:
        for path in list(folder.glob(pattern)):
            path.unlink()

    return spoil
