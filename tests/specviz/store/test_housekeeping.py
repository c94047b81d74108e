"""While a store is open the dead are found, and what is too old, too much or deleted goes for good."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from scripted import until
from stored import copy_of, save, session, started

from specviz.store import Retention, RunCopy, Store, StoreError, UnknownGroup, housekeeping, open_store, owner


def hours_ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="microseconds")


def ids(store: Store) -> str:
    return "".join(sorted(run.id for run in store.list_runs(1_000)))


@pytest.fixture
def aged(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Runs a to e, added a day apart, e today; f goes on since ten days ago."""
    for days, name in enumerate("edcba"):
        monkeypatch.setattr(owner, "now", lambda days=days: hours_ago(24 * days + 1))
        store.add_copies([copy_of(name)])
    monkeypatch.undo()
    store.begin(started("f", hours_ago(240)))
    assert store.flush()
    return store


def test_a_run_whose_process_dies_is_found_while_the_store_is_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "EVERY_S", 0.01)
    with open_store(path) as store, contextlib.closing(sqlite3.connect(path)) as connection:
        save(store, session())
        dead = ("running", "elsewhere:1:1.0", "2026-01-01")
        connection.execute("UPDATE runs SET status = ?, owner = ?, heartbeat_at = ?", dead)
        connection.commit()
        until(lambda: connection.execute("SELECT status FROM runs").fetchone() == ("interrupted",))


def test_trouble_of_the_housekeeper_is_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def look() -> None:
        looks.append(len(looks))
        raise StoreError("locked")

    monkeypatch.setattr(housekeeping, "EVERY_S", 0.001)
    monkeypatch.setattr(housekeeping, "TIDY_EVERY", 2)
    keeper = housekeeping.Housekeeper(look, lambda: looks.append(-1))
    until(lambda: len(looks) > 3)
    keeper.close()
    assert looks[:4] == [0, 1, -1, 3]


@pytest.mark.parametrize(("days", "left"), [(None, "abcdef"), (2.5, "cdef"), (0.01, "f")])
def test_runs_that_are_too_old_go_but_those_that_go_on(aged: Store, days: float | None, left: str) -> None:
    aged.keep_only(Retention(days=days))
    assert ids(aged) == left


def test_the_oldest_go_until_the_rest_is_small_enough(aged: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 1)
    sizes = iter([500, 400, 300, 300])
    monkeypatch.setattr(housekeeping, "size", lambda connection: next(sizes))
    aged.keep_only(Retention(most_bytes=300))
    assert ids(aged) == "cdef"


def test_size_counts_pages_that_are_used(store: Store) -> None:
    def size() -> int:
        with store._database.reading() as connection:
            return housekeeping.size(connection)

    before = size()
    store.add_copies([RunCopy((started("big", prompt="x" * 400_000),))])
    assert 400_000 < size() - before < 1_300_000
    store.delete_run("big")
    assert abs(size() - before) < 50_000


def test_a_group_goes_with_the_last_of_its_runs(path: Path) -> None:
    """Its title is the beginning of the prompt."""
    with open_store(path) as store:
        empty, full = (store.add_group("comparison", name) for name in ("empty", "full"))
        store.begin(started("a"), group_id=full)
        store.flush()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE groups SET created_at = '2026-01-01'")
            connection.commit()
        recent = store.add_group("comparison", "recent")
        store.tidy()
        assert {group.id for group in store.list_groups()} == {full, recent}
        with pytest.raises(UnknownGroup):
            store.get_group(empty)
