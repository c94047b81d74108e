"""Nothing that happens to a database or a process harms a run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from scripted import until
from stored import finished, save, session, started, stepped

from specviz.store import Store, StoreError, open_store, owner, writer

_CHILD = """
import sys, time
from stored import started, stepped
from specviz.store import open_store
run = open_store(sys.argv[1]).begin(started("child"))
num = 0
while True:
    run.append(stepped(num))
    num += 1
    print(num, flush=True)
    time.sleep(0.005)
"""


def _child_environment() -> dict[str, str]:
    root = str(Path(__file__).parents[3])
    return {**os.environ, "PYTHONPATH": os.pathsep.join((root, str(Path(__file__).parents[1])))}


def _hurry(store: Store) -> None:
    """Let this store's connections give up on a lock at once."""
    with store._database.writing() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=1")


def test_closing_writes_everything_and_marks_the_unfinished_as_interrupted(path: Path) -> None:
    with open_store(path) as store:
        done = store.begin(started("done"))
        open_run = store.begin(started("open"))
        for step in range(500):
            done.append(stepped(step))
        open_run.append(stepped())
        done.finish(finished())
    with open_store(path) as store:
        assert len(store.events("done")) == 502
        assert (store.get_run("done").status, store.get_run("open").status) == ("finished", "interrupted")
        assert store.get_run("open").steps == 1
    with pytest.raises(StoreError, match="closed"):
        store.delete_run("done")
    store.close()


def test_a_store_that_nobody_closed_is_written_when_the_program_ends(path: Path) -> None:
    code = _CHILD.replace("while True:", "for _ in range(20):").replace("time.sleep(0.005)", "")
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=_child_environment(), capture_output=True)
    with open_store(path) as store:
        assert len(store.events("child")) == 21


def test_a_killed_process_loses_only_what_was_not_yet_written(path: Path) -> None:
    """What it decodes is written while it decodes, a few times a second, and what is there stays whole."""
    assert writer.FLUSH_S < 1
    command = [sys.executable, "-c", _CHILD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_child_environment()) as child:
        assert child.stdout is not None
        assert child.stdout.readline(), "the child runs"
        with open_store(path) as store:
            until(lambda: store.list_runs() and store.get_run("child").steps > 20)
            num_seen = store.get_run("child").steps
        child.send_signal(signal.SIGKILL)
    with open_store(path) as store:
        row = store.get_run("child")
        stored = store.events("child")
    assert (row.status, row.reason, row.message) == ("interrupted", None, "The program ended before the run did.")
    assert row.steps == len(stored) - 1 >= num_seen
    assert stored == [started("child"), *(stepped(step) for step in range(row.steps))]


def test_only_runs_of_the_dead_are_interrupted(store: Store, path: Path) -> None:
    here, pid, start = owner.this_owner().rsplit(":", 2)
    long_ago = (datetime.now(UTC) - timedelta(seconds=60)).isoformat(timespec="microseconds")
    cases = {
        "me": (f"{here}:{pid}:{start}", long_ago, "running"),
        "same number, other process": (f"{here}:{pid}:{float(start) - 60}", owner.now(), "interrupted"),
        "no such process": (f"{here}:4194399:{start}", owner.now(), "interrupted"),
        "elsewhere, heard of": ("elsewhere:1:1.0", owner.now(), "running"),
        "elsewhere, silent": ("elsewhere:1:1.0", long_ago, "interrupted"),
        "nonsense": ("?", long_ago, "interrupted"),
    }
    for run_id in cases:
        save(store, session(run_id))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for run_id, (name, heartbeat_at, _) in cases.items():
            changed = "UPDATE runs SET status = 'running', owner = ?, heartbeat_at = ? WHERE id = ?"
            connection.execute(changed, (name, heartbeat_at, run_id))
        connection.commit()
    wanted = {run_id: status for run_id, (*_, status) in cases.items()}
    assert {row.id: row.status for row in store.list_runs()} == wanted, "though nobody has written it"
    with open_store(path) as reopened:
        assert {run_id: reopened.get_run(run_id).status for run_id in cases} == wanted


def test_a_live_run_that_was_thought_dead_is_running_again_with_its_next_events(store: Store, path: Path) -> None:
    run = store.begin(started())
    store.flush()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE runs SET status = 'interrupted'")
        connection.commit()
    run.append(stepped())
    store.flush()
    assert store.get_run("a").status == "running"


def test_a_silent_run_shows_that_it_lives(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "HEARTBEAT_S", 0.0)
    with open_store(path) as store, contextlib.closing(sqlite3.connect(path)) as connection:
        store.begin(started())
        store.flush()
        heartbeats: set[tuple[str]] = set()

        def has_changed_twice() -> bool:
            heartbeats.update(connection.execute("SELECT heartbeat_at FROM runs"))
            return len(heartbeats) >= 3

        until(has_changed_twice)


def test_two_readers_see_whole_transactions_while_one_writes(path: Path) -> None:
    problems: list[str] = []
    seen: list[int] = []
    is_over = threading.Event()

    def read() -> None:
        with open_store(path) as mine:
            while not is_over.is_set():
                try:
                    [row] = mine.list_runs()
                    stored = mine.events("a")
                    seen.append(len(stored))
                    is_whole = stored == [started(), *(stepped(step) for step in range(len(stored) - 1))]
                    if not is_whole or row.steps >= len(stored):
                        problems.append("a gap")
                except StoreError as error:
                    problems.append(repr(error))
                time.sleep(0.01)

    def has_been_seen(num_events: int) -> bool:
        return bool(problems) or seen.count(num_events) > 1

    with open_store(path) as store:
        run = store.begin(started())
        store.flush()
        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for step in range(150):
            run.append(stepped(step))
            if step % 50 == 49:
                until(functools.partial(has_been_seen, step + 2))
        is_over.set()
        for reader in readers:
            reader.join()
    assert problems == []
    assert max(seen) == 151


def test_a_locked_database_delays_a_run_and_loses_nothing(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        _hurry(store)
        other.execute("BEGIN IMMEDIATE")
        run = store.begin(started())
        run.append(stepped())
        until(lambda: store.problem is not None)
        assert store.problem == (
            "runs.db is locked by another program. Close that program, "
            "or choose another database with --db or SPECVIZ_DB."
        )
        with pytest.raises(StoreError, match="locked"):
            store.delete_run("a")
        assert not store.flush()
        store.set_audit("a", {"verdict": "identical"})
        run.append(stepped(1))
        other.execute("ROLLBACK")
    run.finish(finished())
    until(lambda: store.problem is None)
    store.flush()
    assert store.events("a") == [started(), stepped(), stepped(1), finished()]
    assert store.get_run("a").audit == {"verdict": "identical"}


def test_a_full_disk_is_said_and_the_run_goes_on(path: Path) -> None:
    with open_store(path) as store:
        with store._database.writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1")  # no page can be added
        run = store.begin(started(prompt="long " * 100_000))
        run.append(stepped())
        assert not store.flush()
        assert store.problem is not None
        assert store.problem.startswith("The disk of runs.db is full.")
        run.finish(finished())
    with open_store(path) as store:
        assert store.list_runs() == []


def test_a_run_that_waits_too_long_is_given_up_and_the_next_one_is_saved(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_WAITING", 5)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        _hurry(store)
        run = store.begin(started())
        store.flush()
        other.execute("BEGIN IMMEDIATE")
        for step in range(10):
            run.append(stepped(step))
        until(lambda: store.problem is not None and store.problem.startswith("The rest of a run was not saved."))
        other.execute("ROLLBACK")
    until(lambda: store.get_run("a").status == "interrupted")
    assert store.events("a") == [started()]
    save(store, session("b"))
    assert store.problem is None


def test_an_event_that_is_not_plain_data_ends_the_saving_of_its_run_only(store: Store) -> None:
    other = store.begin(started("b"))
    run = store.begin(started("a", config={"x": 1 + 2j}))
    run.append(stepped())
    run.finish(finished())
    other.finish(finished())
    store.flush()
    assert store.problem is not None
    assert "not plain data" in store.problem
    assert [row.id for row in store.list_runs()] == ["b"]


def test_a_second_run_with_the_same_id_leaves_the_first_as_it_is(store: Store) -> None:
    save(store, session())
    again = store.begin(started(prompt="other"))
    again.append(stepped())
    store.flush()
    assert store.problem is not None
    assert store.problem.startswith("The rest of a run was not saved.")
    assert store.events("a") == session()
    assert store.get_run("a").status == "finished"


def test_an_audit_that_is_not_plain_data_is_a_problem_and_no_error(store: Store) -> None:
    save(store, session())
    store.set_audit("a", {"x": object})
    store.flush()
    assert store.problem is not None
    assert store.get_run("a").audit is None


def test_a_number_that_no_column_holds_costs_its_run_and_not_the_thread(store: Store) -> None:
    run = store.begin(started("a"))
    run.append(dataclasses.replace(stepped(), draft_ns=2**70))
    run.finish(finished())
    store.flush()
    assert store.problem is not None
    save(store, session("b"))
    assert store.problem is None
