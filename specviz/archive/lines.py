"""Runs as lines of JSON, one event a line, and back: what is exported is what is imported.

The events are those of docs/events.md, as `python -m engine generate --events` writes them. Behind a run's events may
stand one line of kind `annotations`, with what was written beside them: task, tags, note, verdict, baseline.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from engine import events
from engine.errors import BadInput
from engine.events import SCHEMA_VERSION, Event, Prefilled, SessionFinished, SessionStarted, Stepped
from specviz.archive.checks import MOST_NAME_CHARS, check_fields, check_session, checker
from specviz.store import RunCopy

MAX_CHARS = 64_000_000
MAX_RUNS = 1_000
MAX_STEPS = 100_000
MAX_TAGS = 20
MAX_TAG_CHARS = 40
MAX_NOTE_CHARS = 4_000
ANNOTATIONS = "annotations"
_RECORDS = {record.kind: record for record in (SessionStarted, Prefilled, Stepped, SessionFinished)}
_WRITTEN = ("task", "tags", "note", "audit", "baseline_run_id")


def to_lines(copies: Iterable[RunCopy]) -> Iterator[str]:
    """Each event as one line, without line ends; a run's annotations behind its events."""
    for copy in copies:
        yield from map(events.to_json, copy.events)
        written = {name: value for name in _WRITTEN if (value := getattr(copy, name))}
        if written:
            row = {"kind": ANNOTATIONS, "schema_version": SCHEMA_VERSION, **written}
            yield json.dumps(row, ensure_ascii=True, separators=(",", ":"))


def to_text(copies: Iterable[RunCopy]) -> str:
    """The lines as a file."""
    return "".join(f"{line}\n" for line in to_lines(copies))


def from_lines(text: str) -> list[RunCopy]:
    """The runs of a file, all of them or none. Raises BadInput with the line where it is not ours."""
    if len(text) > MAX_CHARS:
        raise BadInput(f"The file has {len(text):,} characters; at most {MAX_CHARS:,} are read.")
    runs: list[tuple[list[Event], dict[str, Any]]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.strip():
            try:
                _take(runs, _row(line))
            except BadInput as error:
                raise BadInput(f"Line {number}: {error}") from error
    if not runs:
        raise BadInput("The file holds no run; wanted lines of JSON, one event each, as SpecViz exports them.")
    return [_copy(*run) for run in runs]


def _row(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"this is not JSON, or not a line of it: {line[:40]!r}.") from error
    if not isinstance(row, dict) or not isinstance(row.get("kind"), str):
        raise BadInput("this is no event: it has no kind. Wanted a file that SpecViz has exported.")
    return row


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _take(runs: list[tuple[list[Event], dict[str, Any]]], row: dict[str, Any]) -> None:
    kind = row["kind"]
    if kind == "session_started":
        if len(runs) == MAX_RUNS:
            raise BadInput(f"the file holds more than {MAX_RUNS:,} runs; import it in parts.")
        runs.append(([], {}))
    if not runs:
        raise BadInput(f"{kind[:40]} stands before any session_started.")
    found, written = runs[-1]
    if kind == ANNOTATIONS:
        written |= _annotations(row)
        return
    if kind in _RECORDS:
        check_fields(_RECORDS[kind], row)
    beside = 1 if kind == Stepped.kind else 2  # start and prefill stand before the steps
    if len(found) > MAX_STEPS + beside:
        raise BadInput(f"a run has more than {MAX_STEPS:,} steps.")
    found.append(events.from_dict(row))


def _annotations(row: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in row.items() if name not in ("kind", "schema_version")}
    unknown, version = sorted(given.keys() - set(_WRITTEN)), row.get("schema_version", SCHEMA_VERSION)
    if unknown or version not in events.READABLE:
        raise BadInput(f"annotations of another version: {', '.join(unknown)[:60] or version!r}.")
    tags = given.get("tags", [])
    is_fit = {
        "task": _is_text(given.get("task", ""), MOST_NAME_CHARS),
        "note": _is_text(given.get("note", ""), MAX_NOTE_CHARS),
        "baseline_run_id": _is_text(given.get("baseline_run_id", ""), 80),
        "audit": given.get("audit") is None or not checker(dict[str, Any])(given["audit"]),
        "tags": isinstance(tags, list) and len(tags) <= MAX_TAGS and all(_is_text(tag, MAX_TAG_CHARS) for tag in tags),
    }
    wrong = [name for name, is_right in is_fit.items() if not is_right]
    if wrong:
        raise BadInput(f"annotations: {wrong[0]} is not what it should be, or too long.")
    return given | {"tags": tuple(sorted(set(tags)))}


def _is_text(value: object, most_chars: int) -> bool:
    return isinstance(value, str) and len(value) <= most_chars


def _copy(found: list[Event], written: dict[str, Any]) -> RunCopy:
    copy = RunCopy(tuple(found), **written)
    try:
        check_session(found)
    except BadInput as error:
        raise BadInput(f"Run {copy.run_id[:40]!r}: {error}") from error
    return copy
