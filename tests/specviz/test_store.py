"""The store on real files: what is put in comes out, and nothing that happens to a database harms a run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import events
from engine.events import Candidate, Counts, Emitted, Event, Node, Prefilled, SessionFinished, SessionStarted, Stepped
from specviz import store as doorway
from specviz.store import Store, StoreError, UnknownGroup, UnknownRun, exact, location, open_store, owner, writer

HOSTILE = (
    "NUL \x00, DLE \x10, like an escape \x100000, half \ud83d, pair \ud83d\ude00, 😀, "
    "RTL \u202e\u200f, 'quote\" \\u0000 %_"
)


# ---- events


def started(session_id: str = "a", created_at: str = "2026-01-01T00:00:00+00:00", **fields: Any) -> SessionStarted:
    given = {
        "prompt": "Once upon a time",
        "prompt_ids": (1, 2, 3, 4),
        "method": "draft_model",
        "method_options": {"depth": 4},
        "guarantee": "exact",
        "model": "story-target",
        "device": "cpu",
        "dtype": "bfloat16",
        "config": {"temperature": 0.5, "seed": 7, "max_new_tokens": 20, "stop_strings": []},
        "machine": {"processor": "x86", "threads": 2},
    }
    return SessionStarted(session_id=session_id, created_at=created_at, **(given | fields))


def stepped(step: int = 0, text: str = " there") -> Stepped:
    return Stepped(
        step=step,
        root_id=4,
        nodes=(Node(5, " there", -1, "accepted", 0.9, 0.8), Node(6, " was", 0, "rejected", 0.1, None)),
        path=(0,),
        emitted=(
            Emitted(5, text, "accepted", 0, 0.9, (Candidate(5, " there", 0.9), Candidate(6, " was", 0.1))),
            Emitted(7, " lived", "correction"),
        ),
        draft_ns=1,
        target_ns=20,
        verify_ns=3,
        commit_ns=4,
        host_ns=5,
        kv_length=6 + step,
    )


def finished(reason: events.StopReason = "eos", message: str = "") -> SessionFinished:
    return SessionFinished(reason, Counts(2, 4, 2, 4, 2), 77, message)


def session(session_id: str = "a", num_steps: int = 2, **fields: Any) -> list[Event]:
    steps = [stepped(step) for step in range(num_steps)]
    return [started(session_id, **fields), Prefilled(3, 1000, 3), *steps, finished()]


def save(store: Store, session_events: list[Event]) -> str:
    first, *others = session_events
    assert isinstance(first, SessionStarted)
    run = store.begin(first)
    for event in others:
        run.append(event)
    assert store.flush(), store.problem
    return run.run_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with open_store(path) as opened:
        yield opened


# ---- round trips

_characters = st.characters(exclude_categories=()) | st.sampled_from(list("\x00\x10\ud83d\ude00\u202e\udc80"))
_text = st.text(_characters, max_size=12)
_count = st.integers(0, 2**62)
_probability = st.none() | st.floats(0, 1)
_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=5,
)
_dict = st.dictionaries(_text, _plain, max_size=3)
_config = st.fixed_dictionaries({}, optional=dict.fromkeys(("seed", "temperature", "max_new_tokens", "x"), _plain))
_candidates = st.lists(st.builds(Candidate, st.integers(), _text, st.floats(0, 1)), max_size=2).map(tuple)
_status = st.sampled_from(["accepted", "rejected", "unreached"])
_nodes = st.lists(st.builds(Node, _count, _text, st.integers(-1, 9), _status, _probability), max_size=3).map(tuple)
_emitted = st.builds(
    Emitted, _count, _text, st.sampled_from(["accepted", "bonus"]), st.none() | _count, _probability, _candidates
)
_small_ns = st.integers(0, 2**50)
_steps = st.builds(
    Stepped,
    *(_count, _count, _nodes, st.lists(_count, max_size=3).map(tuple), st.lists(_emitted, max_size=3).map(tuple)),
    *(_small_ns,) * 5,
    _count,
)
_started = st.builds(
    SessionStarted,
    *(_text, _text, _text, st.lists(_count, max_size=4).map(tuple), _text, _dict, _text, _text, _text, _text),
    config=_config,
    machine=_dict,
)
_finished = st.builds(
    SessionFinished, st.sampled_from(["eos", "timeout", "failed"]), st.builds(Counts, *(_count,) * 5), _count, _text
)
_sessions = st.builds(
    lambda first, prefilled, steps, last: [first, prefilled, *steps, last],
    *(_started, st.builds(Prefilled, _count, _count, _count), st.lists(_steps, max_size=3), _finished),
)


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(tmp_path_factory.mktemp("shared") / "runs.db") as opened:
        yield opened


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_sessions)
def test_any_session_comes_back_equal(shared_store: Store, session_events: list[Event]) -> None:
    first = session_events[0]
    assert isinstance(first, SessionStarted)
    run_id = save(shared_store, session_events)
    try:
        row = shared_store.get_run(run_id)
        assert shared_store.events(run_id) == session_events
        assert (row.prompt, row.created_at, row.method) == (first.prompt, first.created_at, first.method)
        assert (row.config, row.machine, row.method_options) == (first.config, first.machine, first.method_options)
        pieces = [token.text for event in session_events if isinstance(event, Stepped) for token in event.emitted]
        assert row.text == "".join(pieces)
    finally:
        shared_store.delete_run(run_id)


@given(st.text(_characters))
def test_encoded_text_is_one_that_every_database_holds(text: str) -> None:
    stored = exact.encode(text)
    stored.encode("utf-8")
    assert "\x00" not in stored
    assert exact.decode(stored) == text


def test_ordinary_text_is_stored_as_it_is() -> None:
    text = "Ünïcode 😀 \\n \n\t ‮ 100 %"
    assert exact.encode(text) == text


@given(_sessions)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_payload_says_what_the_engine_says(session_events: list[Event]) -> None:
    for event in session_events:
        assert json.loads(events.to_json(event)) == json.loads(json.dumps(json.loads(exact.to_json(event))))


def test_hostile_text_is_kept_everywhere(store: Store) -> None:
    group_id = store.add_group("comparison", HOSTILE)
    first = started(HOSTILE, prompt=HOSTILE, model=HOSTILE, config={HOSTILE: HOSTILE})
    run = store.begin(first, group_id=group_id)
    run.append(stepped(text=HOSTILE))
    run.finish(finished("failed", HOSTILE))
    store.set_audit(HOSTILE, {"verdict": HOSTILE})
    store.flush()
    store.add_tag(HOSTILE, HOSTILE)
    [row] = store.list_runs(search=HOSTILE, group_id=group_id, tag=HOSTILE)
    assert (row.id, row.prompt, row.model, row.message) == (HOSTILE,) * 4
    assert (row.config, row.audit, row.tags) == ({HOSTILE: HOSTILE}, {"verdict": HOSTILE}, (HOSTILE,))
    assert row.text == HOSTILE + " lived"
    assert store.list_groups()[0].title == HOSTILE
    assert store.events(HOSTILE) == [first, stepped(text=HOSTILE), finished("failed", HOSTILE)]


def test_a_row_holds_the_counts_and_times_of_its_events(store: Store) -> None:
    row = store.get_run(save(store, session()))
    assert (row.steps, row.proposed, row.accepted, row.emitted, row.target_passes) == (2, 4, 2, 4, 2)
    assert (row.draft_ns, row.target_ns, row.verify_ns, row.commit_ns, row.host_ns) == (2, 40, 6, 8, 10)
    assert (row.num_prompt_tokens, row.prefill_ns, row.decode_ns) == (3, 1000, 77)
    assert (row.temperature, row.seed, row.max_new_tokens) == (0.5, 7, 20)
    assert (row.status, row.reason, row.text) == ("finished", "eos", " there lived there lived")


def test_a_run_that_goes_on_has_the_counts_so_far(store: Store) -> None:
    run = store.begin(started())
    run.append(stepped())
    store.flush()
    row = store.get_run("a")
    assert (row.status, row.steps, row.proposed, row.accepted, row.emitted) == ("running", 1, 2, 1, 2)
    assert (row.reason, row.decode_ns, row.num_prompt_tokens) == (None, None, 4)


@pytest.mark.parametrize(
    ("reason", "status"), [("eos", "finished"), ("context", "finished"), ("timeout", "stopped"), ("failed", "failed")]
)
def test_the_reason_gives_the_status(store: Store, reason: events.StopReason, status: str) -> None:
    run = store.begin(started())
    run.finish(finished(reason))
    store.flush()
    assert (store.get_run("a").status, store.get_run("a").reason) == (status, reason)


def test_a_tee_may_append_the_first_event_again_and_what_follows_the_end_is_dropped(store: Store) -> None:
    run = store.begin(started())
    for event in [*session(num_steps=1), stepped(9)]:
        run.append(event)
    store.flush()
    assert store.events("a") == session(num_steps=1)


# ---- questions


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


# ---- ends, good and bad


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


_CHILD = """
import sys, time
from test_store import started, stepped
from specviz.store import open_store
run = open_store(sys.argv[1]).begin(started("child"))
num = 0
while True:
    run.append(stepped(num))
    num += 1
    print(num, time.monotonic(), flush=True)
    time.sleep(0.005)
"""


def _child_environment() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join((root, str(Path(__file__).parent)))}


def test_a_killed_process_loses_at_most_its_last_second(path: Path) -> None:
    command = [sys.executable, "-c", _CHILD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_child_environment()) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline()]
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            lines.append(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        lines += child.stdout.readlines()
        child.wait()
    appended = [(int(line.split()[0]), float(line.split()[1])) for line in lines if line.endswith("\n")]
    with open_store(path) as store:
        row = store.get_run("child")
        stored = store.events("child")
    assert (row.status, row.reason, row.message) == ("interrupted", None, "The program ended before the run did.")
    assert row.steps == len(stored) - 1 >= max(num for num, at in appended if at < killed_at - 1)
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
    with open_store(path) as reopened:
        assert {run_id: reopened.get_run(run_id).status for run_id in cases} == {k: v[2] for k, v in cases.items()}


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
        until = time.monotonic() + 10
        while len(heartbeats) < 3 and time.monotonic() < until:
            heartbeats |= set(connection.execute("SELECT heartbeat_at FROM runs"))
            time.sleep(0.05)
    assert len(heartbeats) == 3


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

    with open_store(path) as store:
        run = store.begin(started())
        store.flush()
        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for step in range(150):
            run.append(stepped(step))
            time.sleep(0.01)
        store.flush()
        time.sleep(0.1)
        is_over.set()
        for reader in readers:
            reader.join()
    assert problems == []
    assert len(set(seen)) > 3
    assert max(seen) == 151


# ---- a writer's problems


def test_a_locked_database_delays_a_run_and_loses_nothing(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        _hurry(store)
        other.execute("BEGIN IMMEDIATE")
        run = store.begin(started())
        run.append(stepped())
        _wait_for(lambda: store.problem is not None)
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
    _wait_for(lambda: store.problem is None)
    store.flush()
    assert store.events("a") == [started(), stepped(), stepped(1), finished()]
    assert store.get_run("a").audit == {"verdict": "identical"}


def _hurry(store: Store) -> None:
    """Let this store's connections give up on a lock at once."""
    with store._database.writing() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=1")


def _wait_for(condition: Any) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


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
        _wait_for(lambda: store.problem is not None and store.problem.startswith("The rest of a run was not saved."))
        other.execute("ROLLBACK")
    _wait_for(lambda: store.get_run("a").status == "interrupted")
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


# ---- opening


@contextlib.contextmanager
def _as_nobody() -> Iterator[Path]:
    """A folder of an unprivileged user, who we are meanwhile; root may write everything."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        if is_root:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            Path(name).chmod(0o700)
            if is_root:
                os.seteuid(0)


def _refusal(url_or_path: str | Path) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(url_or_path)
    message = str(caught.value)
    assert message.count("\n") == 0
    assert message.endswith(".")
    if isinstance(url_or_path, Path):
        assert str(url_or_path.parent) not in message
    return message


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_a_read_only_file_or_folder_is_refused(store: Store) -> None:
    with _as_nobody() as folder:
        file = folder / "mine.db"
        open_store(file).close()
        before = file.read_bytes()
        file.chmod(0o400)
        assert _refusal(file).startswith("mine.db or its folder is read-only. Make both writable")
        file.chmod(0o600)
        folder.chmod(0o500)
        assert "written" in _refusal(folder / "new.db") or "read-only" in _refusal(folder / "new.db")
        assert "The folder of x.db cannot be made (permission denied)" in _refusal(folder / "deeper" / "x.db")
        assert file.read_bytes() == before


def test_a_database_opened_read_only_by_its_url_is_refused(path: Path) -> None:
    open_store(path).close()
    assert "runs.db or its folder is read-only" in _refusal(f"sqlite:///file:{path}?mode=ro&uri=true")


@pytest.mark.parametrize("content", [b"not a database, but long enough to look at" * 100, b"short"])
def test_a_corrupt_file_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert _refusal(path) == (
        "runs.db is not a database. It was left as it is: move it away, "
        "or choose another database with --db or SPECVIZ_DB."
    )
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == ["runs.db"]


def test_damage_found_while_reading_is_said(path: Path) -> None:
    with open_store(path) as store:
        for number in range(30):
            save(store, session(f"run{number}"))
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"runs\.db is damaged"), open_store(path) as store:
        store.list_runs()


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert "cannot be opened: it is a folder" in _refusal(tmp_path)


def test_a_locked_database_is_refused_when_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specviz.store.database.BUSY_TIMEOUT_S", 0.01)
    open_store(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "runs.db is locked" in _refusal(path)


@pytest.mark.parametrize(
    "url", ["mysql://me:secret@host/runs", "sqlite+nothing:///x.db", "postgresql+nothing://u:secret@h/d"]
)
def test_an_unknown_scheme_is_refused_without_telling_the_password(url: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert "secret" not in _refusal(url)


def test_the_known_schemes_are_listed() -> None:
    assert _refusal("mysql://x/y") == "Unknown database scheme 'mysql'; there are: postgresql, sqlite."


def test_a_postgresql_url_gets_a_name_without_secrets() -> None:
    found = location.locate("postgres://me:secret@db.example/team")
    assert (found.url.get_backend_name(), found.name) == ("postgresql", "PostgreSQL database 'team'")
    assert not found.is_sqlite
    refusal = _refusal("postgresql://me:secret@127.0.0.1:9/team")  # no driver, or no server
    assert "team" in refusal
    assert "secret" not in refusal


def test_the_place_is_the_argument_then_the_environment_then_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("SPECVIZ_DB", raising=False)
    with open_store() as store:
        assert store.name == "specviz.db"
    folder = tmp_path / "data" / "specviz"
    assert (folder / "specviz.db").exists()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    monkeypatch.setenv("SPECVIZ_DB", str(tmp_path / "a" / "b" / "env.db"))
    with open_store() as store:
        assert store.name == "env.db"
    with open_store(f"sqlite:///{tmp_path}/c/url.db") as store:
        assert store.name == "url.db"
    assert (tmp_path / "a" / "b" / "env.db").exists()
    assert (tmp_path / "c" / "url.db").exists()


def test_a_relative_data_home_is_ignored_and_the_home_folder_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path in location.data_folder().parents


@pytest.mark.parametrize("given_name", [":memory:", "sqlite://", "sqlite:///:memory:"])
def test_a_store_in_memory_works_between_threads_and_keeps_nothing(given_name: str) -> None:
    with open_store(given_name) as store, open_store(given_name) as other:
        save(store, session())
        assert store.events("a") == session()
        assert other.list_runs() == []
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(store.count_runs()))
        thread.start()
        thread.join()
        assert answers == [1]


def test_the_doorway_names_what_it_gives() -> None:
    assert set(doorway.__all__) <= set(dir(doorway))
