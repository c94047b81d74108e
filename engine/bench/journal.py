"""A file of what a bench has measured so far, so that it can be interrupted and go on.

JSON lines: first the settings, then one record per finished run, written as it finishes. Only whole
rounds are taken up again: runs are compared within a round, and a round measured in two halves
would compare two moments of a machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.bench.runner import Cell, Plan, Record, Skipped, of_whole_rounds
from engine.errors import BadInput

_KINDS: dict[str, type[Cell] | type[Skipped]] = {"cell": Cell, "skipped": Skipped}


def read(path: Path, settings: Mapping[str, Any], plan: Plan) -> list[Record]:
    """The records of whole rounds; none where there is no file.

    Raises BadInput where the file was written under other settings, or is not such a file.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")[:-1]  # a torn last line is no record
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The file {path} cannot be read: {error}.") from error
    if not lines:
        return []
    try:
        was = json.loads(lines[0])["settings"]
        records = [_record(json.loads(line)) for line in lines[1:]]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"The file {path} holds no unfinished bench; name another file to go on from.") from error
    if changed := _changed(was, json.loads(json.dumps(settings))):
        raise BadInput(
            f"The file {path} was measured with other settings: {'; '.join(changed)}. "
            "Start the bench as it was started then, or name another file."
        )
    return of_whole_rounds(records, plan)


def keep(
    path: Path, settings: Mapping[str, Any], finished: Sequence[Record], stream: Iterable[Record]
) -> Iterator[Record]:
    """Pass a bench's records on, each written to the file first. Raises BadInput where it cannot be written."""
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_text("".join([_line({"settings": settings}), *map(_written, finished)]), encoding="utf-8")
        beside.replace(path)
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"The file {path} cannot be written: {error.strerror}.") from error
    with file:
        for record in stream:
            file.write(_written(record))
            file.flush()
            yield record


def _written(record: Record) -> str:
    return _line({"cell" if isinstance(record, Cell) else "skipped": asdict(record)})


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row) + "\n"


def _record(row: Mapping[str, Any]) -> Record:
    (kind, values), *_ = row.items()
    return _KINDS[kind](**values)


def _changed(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Every setting that differs, in words."""
    was, now = _flat(was), _flat(now)
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return [f"{name} was {was.get(name)} and is {now.get(name)}" for name in names]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        is_nested = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{name}.") if is_nested else {prefix + name: value}
    return flat
