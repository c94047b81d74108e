"""Events survive JSON, and foreign JSON is refused with a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import events
from engine.errors import BadInput
from engine.events import (
    Candidate,
    Counts,
    DraftedFrom,
    Emitted,
    Event,
    Judged,
    Node,
    Prefilled,
    SessionFinished,
    SessionStarted,
    Stepped,
    Weighed,
    from_json,
    to_json,
)

NUMBERS = st.integers(0, 2**60)
SHARES = st.none() | st.floats(0, 1)
TEXTS = st.text() | st.sampled_from(["<img src=x onerror=alert(1)>", "\u202eab", "\ud800", "a\u2028b", "\x00"])
VALUES = st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-9, 9) | TEXTS, max_size=3)


def tuples(items: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, max_size=most).map(tuple)


STARTED = st.builds(
    SessionStarted,
    *[TEXTS] * 3,
    prompt_ids=tuples(NUMBERS),
    method=TEXTS,
    method_options=VALUES,
    guarantee=TEXTS,
    model=TEXTS,
    device=TEXTS,
    dtype=TEXTS,
    config=VALUES,
    machine=VALUES,
    schema_version=st.just(events.SCHEMA_VERSION),
    kind=st.just("session_started"),
)
NODES = st.builds(Node, NUMBERS, TEXTS, st.integers(-1, 9), target_prob=SHARES, draft_prob=SHARES)
CANDIDATES = tuples(st.builds(Candidate, NUMBERS, TEXTS, st.floats(0, 1)))
EMITTED = st.builds(Emitted, NUMBERS, TEXTS, node=st.none() | NUMBERS, target_prob=SHARES, alternatives=CANDIDATES)
JUDGED = tuples(st.builds(Judged, NUMBERS, SHARES, st.none() | st.floats(0, 1e9), SHARES, SHARES, SHARES))
WEIGHED = tuples(st.builds(Weighed, NUMBERS, TEXTS, SHARES, st.floats(0, 1)))
TIMES = dict.fromkeys(("draft_ns", "target_ns", "verify_ns", "commit_ns", "host_ns"), NUMBERS)
STEPPED = st.builds(
    Stepped,
    NUMBERS,
    NUMBERS,
    nodes=tuples(NODES),
    path=tuples(NUMBERS),
    emitted=tuples(EMITTED),
    kv_length=NUMBERS,
    judged=JUDGED,
    drafted_from=tuples(st.builds(DraftedFrom, st.integers(-1, 9), WEIGHED)),
    kind=st.just("stepped"),
    **TIMES,
)
PREFILLED = st.builds(Prefilled, NUMBERS, NUMBERS, NUMBERS, kind=st.just("prefilled"))
FINISHED = st.builds(
    SessionFinished,
    counts=st.builds(Counts, *[NUMBERS] * 5),
    decode_ns=NUMBERS,
    message=TEXTS,
    kind=st.just("session_finished"),
)


@given(STARTED | PREFILLED | STEPPED | FINISHED)
def test_every_event_comes_back_from_json_as_it_went(event: Event) -> None:
    line = events.to_json(event)
    assert "\n" not in line
    assert line.isascii()
    found = events.from_json(line)
    assert found == event
    assert type(found) is type(event)


def test_missing_optional_fields_take_their_defaults() -> None:
    node = events.from_dict(json.loads(events.to_json(SessionFinished("eos", Counts(1), 5))))
    row = events.to_dict(node)
    del row["message"], row["counts"]["accepted"]
    assert events.from_dict(row) == node


GOOD = {"kind": "prefilled", "num_prompt_tokens": 3, "prefill_ns": 4, "kv_length": 2}
FINISHED_ROW = {"kind": "session_finished", "reason": "eos", "decode_ns": 1}
BAD = {
    "not JSON": "{",
    "empty": "",
    "no object": '"prefilled"',
    "null": "null",
    "no kind": "{}",
    "unknown kind": json.dumps({**GOOD, "kind": "cancelled"}),
    "kind is long": json.dumps({**GOOD, "kind": "x" * 1_000}),
    "kind is a list": json.dumps({**GOOD, "kind": []}),
    "unknown field": json.dumps({**GOOD, "colour": "red"}),
    "missing field": json.dumps({k: v for k, v in GOOD.items() if k != "kv_length"}),
    "other version": json.dumps({"kind": "session_started", "schema_version": 99}),
    "version before the first": json.dumps({"kind": "session_started", "schema_version": 0}),
    "counts is a number": json.dumps({**FINISHED_ROW, "counts": 3}),
    "counts is a list": json.dumps({**FINISHED_ROW, "counts": []}),
    "counts has an unknown field": json.dumps({**FINISHED_ROW, "counts": {"tokens": 1}}),
    "a node is null": json.dumps({"kind": "stepped", "nodes": [None]}),
    "a node is a list": json.dumps({"kind": "stepped", "nodes": [[]]}),
}


@pytest.mark.parametrize("case", BAD)
def test_foreign_lines_are_refused_with_a_sentence(case: str) -> None:
    with pytest.raises(BadInput) as caught:
        events.from_json(BAD[case])
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400
    assert "version" not in case or "schema version" in str(caught.value)


def test_an_unknown_kind_names_the_kinds_that_exist() -> None:
    with pytest.raises(BadInput, match="session_started, prefilled, stepped, session_finished"):
        events.from_dict({"kind": "paused"})


def test_json_is_strict_and_what_former_versions_stored_of_broken_scores_still_opens() -> None:
    node = Node(3, "x", -1, "rejected", target_prob=0.5)
    step = Stepped(0, 1, (node,), (), (Emitted(4, "y", "correction", None, 0.25),), 1, 2, 3, 4, 5, 6)
    line = to_json(step).replace("0.5", "NaN").replace("0.25", "Infinity")
    opened = from_json(line)
    assert isinstance(opened, Stepped)
    assert (opened.nodes[0].target_prob, opened.emitted[0].target_prob) == (None, None)
    assert "NaN" not in to_json(opened)
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(replace(step, nodes=(replace(node, target_prob=float("nan")),)))
