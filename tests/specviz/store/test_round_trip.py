"""What is put into the store comes out, whatever it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import HOSTILE, finished, save, session, started, stepped

from engine import events
from engine.events import Candidate, Counts, Emitted, Event, Node, Prefilled, SessionFinished, SessionStarted, Stepped
from specviz.store import Store, exact, open_store

_characters = st.characters(exclude_categories=()) | st.sampled_from(list("\x00\x10\ud83d\ude00\u202e\udc80"))
_text = st.text(_characters, max_size=12)
_count = st.integers(0, 2**62)
_probability = st.none() | st.floats(0, 1)
_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _text,
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
