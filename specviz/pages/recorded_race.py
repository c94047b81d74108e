"""The race that Compare shows before there is another: assets/race.jsonl, opened as saved runs are.

Made by scripts/record_race.py; its figures are those of the machine that it names.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

from engine.events import Event
from specviz import ASSETS
from specviz.archive import lines
from specviz.race.reopening import reopen
from specviz.showing.notices import FromStore, Happening, InLane, Racing
from specviz.store import RunCopy, RunRow, Store, UnknownRun, open_store
from specviz.text import first_line
from specviz.times import day_and_time

PROMPT_CHARS = 120
ID = "recorded"
"""Where an address names it in place of runs."""


@functools.cache
def copies() -> tuple[RunCopy, ...]:
    """Its runs, lane by lane."""
    return tuple(lines.from_lines((ASSETS / "race.jsonl").read_text(encoding="utf-8")))


@functools.cache
def archive() -> Store:
    """Its runs in a store of their own, in memory."""
    store = open_store(":memory:")
    store.add_copies(copies())
    return store


def happenings() -> Iterator[Happening]:
    """The race as it was, in the order of its lanes' beginnings. Its words say whence it is: nobody brought it here."""
    runs = _runs()
    order = tuple(sorted(range(len(runs)), key=lambda place: runs[place].created_at))
    for happening in reopen(archive(), [run.id for run in runs]):
        if isinstance(happening, Racing):
            yield replace(happening, order=order)
        elif not (isinstance(happening, InLane) and isinstance(happening.happening, FromStore)):
            yield happening


def words() -> str:
    """That it is a recording, of what, and how to make one's own."""
    first = _runs()[0]
    threads = first.machine.get("num_threads")
    parts = [str(first.machine.get("processor", first.device)), str(first.machine.get("instructions", ""))]
    parts += [f"{threads} thread{'' if threads == 1 else 's'}"] if threads else []
    machine = ", ".join(filter(None, parts))
    return (
        f"A recording, not a run of this machine: {first.model} in {first.dtype} on {machine}, "
        f"{day_and_time(first.created_at)} UTC, on the prompt “{first_line(first.prompt, PROMPT_CHARS)}” Every figure "
        "below was measured there. For a race of your own choose methods and a prompt, then press Race."
    )


def events(run_id: object) -> list[Event]:
    """The events of one of its runs. Raises UnknownRun."""
    found = next((copy for copy in copies() if copy.run_id == run_id), None)
    if found is None:
        raise UnknownRun(str(run_id))
    return list(found.events)


def _runs() -> list[RunRow]:
    return archive().get_runs([copy.run_id for copy in copies()])
