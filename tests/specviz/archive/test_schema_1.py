"""What was written before events had judged draws opens and says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from stored import save

from engine.events import SCHEMA_VERSION, SessionStarted, Stepped
from specviz.archive import lines
from specviz.store import RunCopy, open_store
from specviz.store.models import STEPS

GIVEN = (Path(__file__).parent / "schema_1.jsonl").read_text(encoding="utf-8")
"""Written by the last version that had it: two runs of five tokens, one of them with annotations."""


def text(*copies: RunCopy) -> str:
    return "\n".join(lines.to_lines(copies))


def test_a_file_of_schema_1_opens_and_says_the_same() -> None:
    drawn, rejected = copies = lines.from_lines(GIVEN)
    assert (drawn.task, drawn.tags, drawn.note) == ("Story", ("fixture", "schema 1"), "kept")
    for copy in copies:
        events = copy.events
        assert isinstance(events[0], SessionStarted)
        assert events[0].schema_version == SCHEMA_VERSION
        steps = [event for event in events if isinstance(event, Stepped)]
        assert sum(len(step.emitted) for step in steps) == 5
        assert all(step.judged == () for step in steps)
    assert [node.token_id for node in cast(Stepped, rejected.events[2]).nodes] == [
        row["token_id"] for row in json.loads(GIVEN.split("\n")[11])["nodes"]
    ]
    again = text(*copies).replace(f'"schema_version":{SCHEMA_VERSION}', '"schema_version":1')
    for later in ('"judged":[],', '"memory":null,', '"drafted_from":[],'):
        again = again.replace(later, "")
    assert again == GIVEN.rstrip("\n")
    assert lines.from_lines(text(*copies)) == copies


def test_a_stored_run_of_schema_1_opens() -> None:
    """Its events stand in the database as they were written."""
    given = GIVEN.split("\n")
    (copy,) = lines.from_lines("\n".join(given[:8]))
    with open_store(":memory:") as store:
        run_id = save(store, list(copy.events))
        with store._database.writing() as connection:
            for seq, line in enumerate(given[: len(copy.events)]):
                changed = connection.execute(STEPS.update().where(STEPS.c.seq == seq).values(payload=line))
                assert changed.rowcount == 1
        assert tuple(store.events(run_id)) == copy.events
