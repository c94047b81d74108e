"""What only a server can show: its locale, its index for searches, and what it says when it will not."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy
from postgresql import make_database
from scripted import until
from stored import HOSTILE, copy_of, save, session, started

from specviz.store import Retention, RunCopy, Store, StoreError, housekeeping, open_store, restore_backup, save_backup
from specviz.store.models import RUNS
from specviz.store.search import clauses

IDS = ["-a", "A", "B", "_b", "a", "b"]
"""In the order of bytes; a language puts them otherwise."""


def test_pages_go_on_where_they_ended_whatever_the_servers_locale(store: Store) -> None:
    """Six runs of one moment: the id decides, and the page below begins behind it."""
    for name in IDS:
        save(store, session(name))
    found, before = "", None
    while rows := store.list_runs(1, before=before):
        before = rows[0].id
        found += f"{before} "
    assert found.split() == IDS[::-1]


def test_long_names_fit_the_index_of_lists(store: Store) -> None:
    save(store, session("a", model="m" * 9_000, method="d" * 9_000))
    assert store.problem is None
    assert store.known_values()["model"] == ["m" * 9_000]


def test_a_search_is_answered_from_the_index_of_trigrams(store: Store) -> None:
    """Of few runs the planner would read every one: here it may not."""
    found = clauses({"search": "needle in a haystack"})[1:]  # not the deletion, by which few runs are found sooner
    asked = sqlalchemy.select(RUNS.c.id).where(*found)
    with store._database.reading() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        connection.exec_driver_sql("SET LOCAL enable_indexscan = off")
        text = str(asked.compile(store._database.engine, compile_kwargs={"literal_binds": True}))
        plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {text}"))
    assert plan.count("Bitmap Index Scan on ix_runs_search") == 4


def test_a_reader_sees_one_moment(store: Store) -> None:
    with store._database.reading() as connection:
        before = connection.execute(sqlalchemy.select(RUNS.c.id)).all()
        save(store, session("a"))
        assert connection.execute(sqlalchemy.select(RUNS.c.id)).all() == before == []
    assert store.count_runs() == 1


def test_a_question_that_takes_too_long_is_given_up(store: Store) -> None:
    with pytest.raises(StoreError, match="took too long"), store._database.reading(limit_s=0.05) as connection:
        connection.exec_driver_sql("SELECT pg_sleep(5)")


def test_a_database_that_is_not_there_is_said_without_its_address(database: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(database.replace("/test", "/none"))
    assert "cannot be reached" in str(caught.value) or "There is no" in str(caught.value)
    assert "host" not in str(caught.value)


def test_a_store_whose_server_goes_away_for_a_moment_loses_nothing(store: Store) -> None:
    run = store.begin(started("a"))
    assert store.flush()
    with store._database.reading() as connection:
        ours = "pid <> pg_backend_pid() AND datname = current_database()"
        connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")
    for event in session("a")[1:]:
        run.append(event)
    until(lambda: store.flush())
    assert store.events("a") == session("a")


def test_retention_counts_what_the_events_take(store: Store) -> None:
    store.add_copies([RunCopy((started("big", prompt="x" * 400_000),)), copy_of("small")])
    with store._database.reading() as connection:
        assert housekeeping.size(connection) > 1_000
    store.keep_only(Retention(most_bytes=0))
    assert store.count_runs() == 0


def test_runs_move_between_the_two_databases(store: Store, database: str, server: str, tmp_path: Path) -> None:
    save(store, session("plain", method="plain", prompt=HOSTILE))
    save(store, session("fast", prompt=HOSTILE))
    store.set_baseline("fast", "plain")
    assert store.flush()
    kept = tmp_path / "kept.db"
    assert save_backup(database, kept) == 2
    assert restore_backup(kept, make_database(server)) == 2
    with open_store(kept) as other:
        assert other.list_runs() == store.list_runs()
        assert other.events("fast") == store.events("fast")
