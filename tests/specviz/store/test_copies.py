"""Whole runs apart from any database, and back."""

from __future__ import annotations

from dataclasses import replace

from stored import HOSTILE, copy_of, save, session, started, stepped

from engine.events import Counts, Event, SessionFinished
from specviz.store import RunCopy, Store, open_store


def test_a_copy_carries_all_that_is_kept_of_a_run(store: Store) -> None:
    save(store, session("plain", method="plain"))
    events: list[Event] = session("fast")
    record = store.begin(started("fast"), task="Chat")
    for event in events[1:]:
        record.append(event)
    store.set_baseline("fast", "plain")
    store.set_audit("fast", {"verdict": "identical"})
    store.flush()
    store.add_tag("fast", HOSTILE)
    store.set_note("fast", HOSTILE)
    copies = [store.copy("fast"), store.copy("plain")]
    rows = {row.id: row for row in store.list_runs()}
    with open_store(":memory:") as other:
        assert other.add_copies(copies) == ["fast", "plain"]
        assert [other.copy("fast"), other.copy("plain")] == copies
        brought = {row.id: row for row in other.list_runs()}
        assert {row.origin for row in brought.values()} == {"imported"}
        same = {"origin": "measured", "added_at": "2026-01-01T00:00:00+00:00"}
        assert {name: replace(row, **same) for name, row in brought.items()} == rows  # type: ignore[arg-type]
    assert copies[0] == RunCopy(tuple(events), "Chat", (HOSTILE,), HOSTILE, {"verdict": "identical"}, "plain")


def test_copies_leave_runs_that_are_there_and_replace_deleted_ones(store: Store) -> None:
    store.add_copies([copy_of("a"), copy_of("b")])
    store.trash(["b"])
    changed = [copy_of(name, prompt="changed") for name in "abc"]
    assert store.add_copies([*changed, changed[2]]) == ["b", "c"]
    assert [store.get_run(name).prompt for name in "abc"] == ["Once upon a time", "changed", "changed"]


def test_a_copy_without_end_is_an_interrupted_run(store: Store) -> None:
    store.add_copies([RunCopy((started("a"), stepped()))])
    assert (store.get_run("a").status, store.get_run("a").steps) == ("interrupted", 1)


def test_many_thousand_copies_count_what_their_events_say(store: Store) -> None:
    end = SessionFinished("eos", Counts(1, 2, 1, 2, 1), 5)
    store.add_copies([RunCopy((started(f"r{n}"), stepped(), end)) for n in range(2_000)])
    assert store.count_runs() == 2_000
    assert [row.id for row in store.list_runs(1, 1_999)] == ["r0"]


def test_a_baseline_is_linked_wherever_in_the_file_it_stands(store: Store) -> None:
    fast = RunCopy(tuple(session("fast")), baseline_run_id="plain")
    plain = copy_of("plain", method="plain")
    lone = RunCopy(tuple(session("lone")), baseline_run_id="elsewhere")
    store.add_copies([fast, plain, lone])
    assert [store.get_run(name).baseline_run_id for name in ("fast", "plain", "lone")] == ["plain", None, None]
