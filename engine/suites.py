"""Prompt suites: questions by task, from assets/suites/*.jsonl or from a file of the field.

A row holds `prompt`, or `turns`: what a user says one after the other, each once the one before is
answered. Spec-Bench, MT-bench, MT-Redundant and Vicuna-80 publish rows of the second kind, with a
`category`. Texts only; knows no tokens.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInput, UnknownName
from engine.models import ASSETS

MT_BENCH = frozenset("writing roleplay reasoning math coding extraction stem humanities".split())
"""Categories that Spec-Bench counts as one, under the name `mt_bench`."""


@dataclass(frozen=True)
class Question:
    """What a user says, turn by turn."""

    suite: str
    turns: tuple[str, ...]
    category: str = ""


def names() -> list[str]:
    """Suites that ship with the project."""
    return sorted(path.stem for path in (ASSETS / "suites").glob("*.jsonl"))


def questions(given: str, limit: int | None = None) -> list[Question]:
    """The questions of suites or .jsonl files, parted by commas, or of "all" suites that ship.

    `limit` keeps the first of each suite, and of each category where a suite has them. Raises
    UnknownName or BadInput.
    """
    parts = [part for name in given.split(",") for part in (names() if name == "all" else [name])]
    return [question for part in dict.fromkeys(parts) for question in _limited(_read(_locate(part)), limit)]


def _locate(name: str) -> Path:
    if name in names():
        return ASSETS / "suites" / f"{name}.jsonl"
    if Path(name).suffix != ".jsonl":
        raise UnknownName("suite", name, [*names(), "all", "FILE.jsonl"])
    return Path(name)


def _limited(found: list[Question], limit: int | None) -> list[Question]:
    seen: Counter[str] = Counter()
    kept = []
    for question in found:
        seen[question.category] += 1
        if limit is None or seen[question.category] <= limit:
            kept.append(question)
    return kept


def _read(path: Path) -> list[Question]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise BadInput(f"The suite {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"The suite {path} is not UTF-8 text.") from error
    suite = _suite_name(path)
    found = [_question(suite, line, f"{path.name}, line {i}") for i, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise BadInput(f"The suite {path} holds no questions; wanted JSON lines with a field `prompt` or `turns`.")
    has_more = bool({question.category for question in found} - MT_BENCH)
    return [_joined(question) for question in found] if has_more else found


def _suite_name(path: Path) -> str:
    """`story.jsonl` is story, `mt_bench.question.jsonl` is mt_bench, and so is `mt_bench/question.jsonl`."""
    return path.stem.removesuffix("question").rstrip("._-") or path.resolve().parent.name


def _question(suite: str, line: str, where: str) -> Question:
    try:
        row = json.loads(line)
        turns = row["turns"] if "turns" in row else [row["prompt"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{where}: wanted a JSON object with a field `prompt` or `turns`; found {line[:60]}") from error
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, str) and turn.strip() for turn in turns):
        raise BadInput(f"{where}: wanted one text or more, none of them empty; found {turns!r:.60}")
    return Question(suite, tuple(turns), str(row.get("category", "")))


def _joined(question: Question) -> Question:
    """Spec-Bench's own categories: the eight of MT-bench are one of its six."""
    category = "mt_bench" if question.category in MT_BENCH else question.category
    return Question(question.suite, question.turns, category)
