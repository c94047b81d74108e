"""Prompt suites: named lists of prompts by task, from assets/suites/*.jsonl."""

from __future__ import annotations

import json
from pathlib import Path

from engine.errors import BadInput, UnknownName
from engine.models import ASSETS


def names() -> list[str]:
    """Suites that ship with the project."""
    return sorted(path.stem for path in (ASSETS / "suites").glob("*.jsonl"))


def prompts(name: str, limit: int | None = None) -> list[tuple[str, str]]:
    """(suite, prompt) pairs of one suite, of "all" of them, or of a .jsonl file with a `prompt` field.

    Raises UnknownName or BadInput.
    """
    if name == "all" and names():
        return [pair for suite in names() for pair in prompts(suite, limit)]
    path = ASSETS / "suites" / f"{name}.jsonl" if name in names() else Path(name)
    if name not in names() and path.suffix != ".jsonl":
        raise UnknownName("suite", name, [*names(), "all"])
    return [(path.stem, prompt) for prompt in _read(path)][:limit]


def _read(path: Path) -> list[str]:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [str(row["prompt"]) for row in rows]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise BadInput(f"{path.name} is not a suite (JSON lines with a field `prompt`): {error}.") from error
