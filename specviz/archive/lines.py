"""Runs as lines of JSON, one event a line, and back: what is exported is what is imported.

The events are those of docs/events.md, as `python -m engine generate --events` writes them. Behind a run's events may
stand one line of kind `annotations`, with what was written beside them: task, tags, note, verdict, baseline.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from engine import events
from engine.errors import BadInput
from engine.events import SCHEMA_VERSION, Event, Prefilled, SessionFinished, SessionStarted, Stepped
from specviz.archive import records
from specviz.archive.checks import check_session
from specviz.archive.records import Annotations
from specviz.store import RunCopy

ANNOTATIONS = "annotations"
_RECORDS = {record.kind: record for record in (SessionStarted, Prefilled, Stepped, SessionFinished)}
_WRITTEN = ("task", "tags", "note", "audit", "baseline_run_id")


@dataclass(frozen=True)
class Limits:
    """How much of a file is taken: so much opens again within seconds (docs/reliability.md)."""

    chars: int = 64_000_000
    runs: int = 1_000
    steps: int = 10_000
    """Of one run."""
    nodes: int = 200_000
    """Of one run; a step has at most records.MOST_NODES."""


HOME = Limits()
SMALL = Limits(chars=5_000_000, runs=50, steps=5_000, nodes=50_000)
"""For an instance that anybody may bring a file to."""


@dataclass
class _Found:
    """A run as far as its lines were read."""

    events: list[Event] = field(default_factory=list)
    written: dict[str, Any] = field(default_factory=dict)
    num_steps: int = 0
    num_nodes: int = 0


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


def from_lines(text: str, limits: Limits = HOME) -> list[RunCopy]:
    """The runs of a file, all of them or none. Raises BadInput with the line where it is not ours, or is too much."""
    if len(text) > limits.chars:
        raise BadInput(f"The file has {len(text):,} characters; at most {limits.chars:,} are read.")
    runs: list[_Found] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.strip():
            try:
                _take(runs, _row(line), limits)
            except BadInput as error:
                raise BadInput(f"Line {number}: {error}") from error
    if not runs:
        raise BadInput("The file holds no run; wanted lines of JSON, one event each, as SpecViz exports them.")
    return [_copy(run) for run in runs]


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


def _take(runs: list[_Found], row: dict[str, Any], limits: Limits) -> None:
    kind = row["kind"]
    if kind == "session_started":
        if len(runs) == limits.runs:
            raise BadInput(f"the file holds more than {limits.runs:,} runs; import it in parts.")
        runs.append(_Found())
    if not runs:
        raise BadInput(f"{kind[:40]} stands before any session_started.")
    if kind == ANNOTATIONS:
        runs[-1].written |= _annotations(row)
        return
    if kind in _RECORDS:
        records.checked(records.model_of(_RECORDS[kind]), row)
    _add(runs[-1], events.from_dict(row), limits)


def _add(run: _Found, event: Event, limits: Limits) -> None:
    if isinstance(event, Stepped):
        run.num_steps += 1
        run.num_nodes += len(event.nodes)
        if run.num_steps > limits.steps:
            raise BadInput(f"a run has more than {limits.steps:,} steps.")
        if run.num_nodes > limits.nodes:
            raise BadInput(f"a run has more than {limits.nodes:,} drafted tokens in all.")
    run.events.append(event)


def _annotations(row: dict[str, Any]) -> dict[str, Any]:
    version = row.get("schema_version", SCHEMA_VERSION)
    if version not in events.READABLE:
        raise BadInput(f"annotations of another version: {version!r:.60}.")
    try:
        records.checked(Annotations, row)
    except BadInput as error:
        raise BadInput(f"annotations: {error}") from error
    given = {name: row[name] for name in _WRITTEN if name in row}
    return given | {"tags": tuple(sorted(set(given.get("tags", ()))))}


def _copy(run: _Found) -> RunCopy:
    copy = RunCopy(tuple(run.events), **run.written)
    try:
        check_session(run.events)
    except BadInput as error:
        raise BadInput(f"Run {copy.run_id[:40]!r}: {error}") from error
    return copy
