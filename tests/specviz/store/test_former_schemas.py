"""Databases of every former schema open, and the run that each program saved then says what it said.

`former/` holds a dump for every revision, written by the program whose newest revision it was: the same prompt,
decoded by Prompt Lookup on the story model. A new revision brings its dump.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from engine.events import SessionFinished, SessionStarted, Stepped
from engine.metrics import summarise
from specviz.store import open_store, schema

FORMER = Path(__file__).with_name("former")
REVISIONS = sorted(path.stem[:4] for path in (Path(schema.__file__).parent / "migrations" / "versions").glob("0*.py"))
RUN_ID = "a" * 32
PROMPT = "Repeat this text: the red fox, the red fox, the red fox."
TEXT = "The red fox, the red fox, the red fox,"


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_run_of_a_former_database_says_what_it_said(revision: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript((FORMER / f"{revision}.sql").read_text(encoding="utf-8"))
        before = connection.execute("SELECT prompt, text, steps, proposed, accepted, emitted FROM runs").fetchall()
    with open_store(path) as store:
        row, events = store.get_run(RUN_ID), store.events(RUN_ID)
    assert before == [(PROMPT, TEXT, row.steps, row.proposed, row.accepted, row.emitted)]
    started, finished = events[0], events[-1]
    assert isinstance(started, SessionStarted)
    assert isinstance(finished, SessionFinished)
    steps = [event for event in events if isinstance(event, Stepped)]
    assert (started.prompt, started.method, row.status) == (PROMPT, "prompt_lookup", "finished")
    assert "".join(token.text for step in steps for token in step.emitted) == TEXT
    assert sum(len(step.nodes) for step in steps) == finished.counts.proposed == row.proposed
    assert summarise(events).block_efficiency == 12 / 5
