"""Whether all is well, for everybody in a word, for this machine in numbers, and in the log by a run's id."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import urllib.request
from pathlib import Path

import pytest
from benching import Place
from scripted import until
from starlette.applications import Starlette
from starlette.testclient import TestClient
from stored import save, session, started, stepped

from specviz import logs, vitals
from specviz.store import Store, open_store


def test_health_is_a_word_for_anybody(path: Path) -> None:
    with open_store(path) as store, TestClient(Starlette(routes=[vitals.health(store)])) as client:
        assert client.get("/specviz/health").json() == {"status": "ok"}
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            with store._database.writing() as connection:
                connection.exec_driver_sql("PRAGMA busy_timeout=1")
            other.execute("BEGIN IMMEDIATE")
            store.begin(started())
            until(lambda: store.problem is not None)
            answer = client.get("/specviz/health")
            other.execute("ROLLBACK")
    assert (answer.status_code, answer.json()) == (503, {"status": "trouble"})
    assert answer.headers["cache-control"] == "no-store"


def test_numbers_are_served_to_this_machine(place: Place) -> None:
    save(place.store, session())
    place.store.begin(started("b"))
    place.store.flush()
    ticket = place.sessions.ticket()
    server = vitals.serve(0, place.store, place.sessions)
    host, port = server.server_address[:2]
    with urllib.request.urlopen(f"http://{host}:{port}/") as answer:
        told = answer.read().decode().splitlines()
    server.shutdown()
    server.server_close()
    ticket.leave()
    assert host == "127.0.0.1"
    numbers = [line for line in told if not line.startswith("#")]
    assert sorted(numbers) == [
        'specviz_places_taken 1',
        'specviz_runs{status="finished"} 1',
        'specviz_runs{status="running"} 1',
        'specviz_store_in_trouble 0',
        'specviz_store_waiting_events 0',
    ]  # fmt: skip
    assert told.count("# TYPE specviz_runs gauge") == 1


def test_a_store_that_cannot_be_read_is_in_trouble(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.store._database.name = "it"
    monkeypatch.setattr(place.store._database, "engine", sqlalchemy_that_is_away())
    assert vitals.as_text(place.store, place.sessions).splitlines()[-1] == "specviz_store_in_trouble 1"


def sqlalchemy_that_is_away() -> object:
    from sqlalchemy import create_engine

    return create_engine("sqlite:////nowhere/at/all.db")


def test_the_log_names_runs_and_holds_nothing_of_them(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="specviz"):
        save(store, session("a", prompt="secret"))
        run = store.begin(started("b", prompt="secret"))
        store.flush()
        store.delete_run("b")
        run.append(stepped())
        store.flush()
    assert "run a: finished, 4 tokens in 2 steps of draft_model" in caplog.messages
    assert "run b: deleted while it was written" in caplog.messages
    assert "secret" not in caplog.text


def test_the_log_has_our_lines_and_others_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = logging.getLogger("specviz")
    before = ours.level
    logs.set_up()
    assert ours.level == logging.INFO
    monkeypatch.setenv("SPECVIZ_LOG", "error")
    logs.set_up()
    assert ours.level == logging.ERROR
    ours.setLevel(before)
