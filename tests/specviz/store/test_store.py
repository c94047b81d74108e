"""The store answers: what is put in is listed, found, marked, gone when deleted, and back when restored."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from stored import HOSTILE, finished, save, session, started, stepped

from specviz.store import Store, UnknownGroup, UnknownRun


def test_runs_are_listed_newest_first_page_by_page(store: Store) -> None:
    for number in range(5):
        save(store, session(f"run{number}", created_at=f"2026-01-0{1 + number // 2}T00:00:00+00:00"))
    newest_first = ["run4", "run3", "run2", "run1", "run0"]
    assert [row.id for row in store.list_runs()] == newest_first
    assert [row.id for row in store.list_runs(2, 2)] == newest_first[2:4]
    assert [row.id for row in store.list_runs(2, before="run3")] == newest_first[2:4]
    assert store.count_runs() == 5
    assert store.list_runs(0) == []


def test_runs_are_found_by_text_method_status_group_and_tag(store: Store) -> None:
    group_id = store.add_group("benchmark", "Stories")
    save(store, session("a", prompt="A Fox and 100% of a hen"))
    save(store, session("b", method="plain"))
    run = store.begin(started("c"), group_id=group_id)
    store.flush()
    store.add_tag("b", "keep")
    store.add_tag("b", "keep")
    asked: list[tuple[dict[str, Any], list[str]]] = [
        ({"search": "fox"}, ["a"]),
        ({"search": "0%"}, ["a"]),
        ({"search": "_"}, []),
        ({"search": " THERE lived"}, ["b", "a"]),
        ({"search": "x" * 60_000}, []),
        ({"method": "plain"}, ["b"]),
        ({"status": "running"}, ["c"]),
        ({"group_id": group_id}, ["c"]),
        ({"tag": "keep"}, ["b"]),
        ({"tag": "keep", "method": "draft_model"}, []),
    ]
    for conditions, wanted in asked:
        assert [row.id for row in store.list_runs(**conditions)] == wanted
        assert store.count_runs(**conditions) == len(wanted)
    assert store.get_run("b").tags == ("keep",)
    store.remove_tag("b", "keep")
    assert store.get_run("b").tags == ()
    run.finish(finished())


def test_a_group_keeps_what_is_known_of_the_whole(store: Store) -> None:
    group_id = store.add_group("comparison", "A race", {"order": [1, 0]})
    assert store.get_group(group_id).details == {"order": [1, 0]}
    store.set_group_details(group_id, {"order": [1, 0], "problem": HOSTILE})
    assert store.flush()
    assert store.get_group(group_id).details == {"order": [1, 0], "problem": HOSTILE}
    with pytest.raises(UnknownGroup, match="There is no group of runs 'nobody'"):
        store.get_group("nobody")


def test_audit_and_baseline_are_kept_and_a_deleted_baseline_leaves_no_trace(store: Store) -> None:
    save(store, session("plain", method="plain"))
    run = store.begin(started("fast"))  # not yet written when the two calls below are made
    store.set_audit("fast", {"verdict": "identical"})
    store.set_baseline("fast", "plain")
    run.finish(finished())
    store.flush()
    assert store.get_run("fast").audit == {"verdict": "identical"}
    assert store.get_run("fast").baseline_run_id == "plain"
    store.delete_run("plain")
    assert store.get_run("fast").baseline_run_id is None
    store.set_baseline("fast", "nowhere")
    assert store.flush()
    assert store.get_run("fast").baseline_run_id is None


def test_a_deleted_run_is_gone_with_its_events_even_while_it_is_written(store: Store, path: Path) -> None:
    run = store.begin(started())
    store.flush()
    store.add_tag("a", "x")
    store.delete_run("a")
    run.append(stepped())
    run.finish(finished())
    assert store.flush()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for table in ("runs", "steps", "tags"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_an_unknown_run_is_said_to_be_unknown(store: Store) -> None:
    calls = (store.get_run, store.events, store.delete_run, lambda run_id: store.list_runs(before=run_id))
    for call in (*calls, lambda run_id: store.add_tag(run_id, "x")):
        with pytest.raises(UnknownRun, match="There is no run 'nowhere'"):
            call("nowhere")
