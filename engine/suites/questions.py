"""Files of questions as they are published, one JSON object a line, gzipped or not.

A row holds `turns`, what a user says one after the other, each once the one before is answered (Spec-Bench, MT-bench,
MT-Redundant, Vicuna-80, with a `category`); or `prompt`; or `question` (GSM8K). HumanEval's `prompt` is the head of a
function, and MBPP's `text` comes with tests: both are put into words.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.suites.places import FIELD, locate, own_names

MT_BENCH = frozenset("writing roleplay reasoning math coding extraction stem humanities".split())
"""Categories that Spec-Bench counts as one, under the name `mt_bench`."""
_WANTED = "a field `prompt`, `turns` or `question`"


@dataclass(frozen=True)
class Question:
    """What a user says, turn by turn."""

    suite: str
    turns: tuple[str, ...]
    category: str = ""


def questions(given: str, limit: int | None = None, kind: str = "story", folder: Path | None = None) -> list[Question]:
    """The questions of suites or files, parted by commas, or of "all" that ship for a kind of model.

    `limit` keeps the first of each suite, and of each category where a suite has them; a suite may have one of its
    own behind a colon, as in `humaneval:20`. `folder` is where the field's suites lie. Raises UnknownName or BadInput.
    """
    parts: dict[str, int | None] = {}
    for part in given.split(","):
        name, own = _with_limit(part, limit)
        parts |= dict.fromkeys(own_names(kind) if name == "all" else [name], own)
    return [question for name, own in parts.items() for question in _limited(_suite(name, folder), own)]


def _with_limit(part: str, limit: int | None) -> tuple[str, int | None]:
    name, _, number = part.rpartition(":")
    return (name, int(number)) if name and number.isdecimal() and int(number) else (part, limit)


def _suite(name: str, folder: Path | None) -> list[Question]:
    path = locate(name, folder)
    return _read(path, name if name in FIELD else _suite_name(path))


def _limited(found: list[Question], limit: int | None) -> list[Question]:
    seen: Counter[str] = Counter()
    kept = []
    for question in found:
        seen[question.category] += 1
        if limit is None or seen[question.category] <= limit:
            kept.append(question)
    return kept


def _read(path: Path, suite: str) -> list[Question]:
    lines = _text(path).split("\n")
    found = [to_question(suite, line, f"{path.name}, line {i}") for i, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise BadInput(f"The suite {path} holds no questions; wanted JSON lines with {_WANTED}.")
    has_more = bool({question.category for question in found} - MT_BENCH)
    return _joined(found) if has_more else found


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"The suite {path} is not UTF-8 text.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(f"The suite {path} is corrupt or cut off; fetch it again.") from error
    except OSError as error:
        raise BadInput(f"The suite {path} cannot be read: {error.strerror}.") from error


def _suite_name(path: Path) -> str:
    """`story.jsonl` is story, `mt_bench.question.jsonl` is mt_bench, and so is `mt_bench/question.jsonl`."""
    stem = path.name.removesuffix(".gz").removesuffix(".jsonl")
    return stem.removesuffix("question").rstrip("._-") or path.resolve().parent.name


def to_question(suite: str, line: str, where: str) -> Question:
    """What a line of a file asks. `where` names the line. Raises BadInput."""
    try:
        row = json.loads(line)
        turns = _turns(row)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(f"{where}: wanted a JSON object with {_WANTED}; found {line[:60]}") from error
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, str) and turn.strip() for turn in turns):
        raise BadInput(f"{where}: wanted one text or more, none of them empty; found {turns!r:.60}")
    return Question(suite, tuple(turns), str(row.get("category", "")))


def _turns(row: Mapping[str, Any]) -> Any:
    if "turns" in row:
        return row["turns"]
    if "entry_point" in row:
        return [f"Complete this Python function:\n\n{row['prompt']}"]
    if "test_list" in row:
        return ["\n".join([row["text"], "Your code should pass these tests:", "", *row["test_list"]])]
    return [row["prompt"] if "prompt" in row else row["question"]]


def _joined(found: list[Question]) -> list[Question]:
    """Spec-Bench's own categories: the eight of MT-bench are one of its six, and take turns in it."""
    ranks: defaultdict[str, int] = defaultdict(int)
    ranked = []
    for question in found:
        ranked.append((ranks[question.category], question))
        ranks[question.category] += question.category in MT_BENCH
    in_turns = [question for _, question in sorted(ranked, key=lambda pair: pair[0])]
    return [replace(q, category="mt_bench") if q.category in MT_BENCH else q for q in in_turns]
