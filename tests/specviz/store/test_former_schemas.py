"""Databases of every former schema open, and the run that each program saved then says what it said.

`former/` holds a dump for every revision, written by the program whose newest revision it was: the same prompt,
decoded by Prompt Lookup on the story model. A new revision brings its dump.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from stored import FORMER

from engine.events import SessionFinished, SessionStarted, Stepped
from engine.metrics import summarise
from specviz.store import open_store, schema

REVISIONS = sorted(path.stem[:4] for path in (Path(schema.__file__).parent / "migrations" / "versions").glob("0*.py"))
RUN_ID = "a" * 32
PROMPT = "Repeat this text: the red fox, the red fox, the red fox."
TEXT = "The red fox, the red fox, the red fox,"


def former(revision: str, path: Path) -> sqlite3.Connection:
    """A database of that revision."""
    connection = sqlite3.connect(path)
    connection.executescript((FORMER / f"{revision}.sql").read_text(encoding="utf-8"))
    return connection


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_run_of_a_former_database_says_what_it_said(revision: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with contextlib.closing(former(revision, path)) as connection:
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


def test_what_was_said_before_a_former_run_is_found(tmp_path: Path) -> None:
    config = '{"messages":[{"role":"system","content":"Speak like a pirate."}]}'
    with contextlib.closing(former("0006", tmp_path / "runs.db")) as connection, connection:
        connection.execute("UPDATE runs SET config = ?", [config])
    with open_store(tmp_path / "runs.db") as store:
        assert [store.count_runs(search=words) for words in ("pirate", "system")] == [1, 0]
