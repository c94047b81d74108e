"""Values read from a file are what our records say, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from stored import copy_of, session, started, stepped

from engine.errors import BadInput
from engine.events import to_dict
from specviz.archive import lines, records
from specviz.store import RunCopy

Change = Callable[[list[dict[str, Any]]], Any]
WEIGHED = {"token_id": 1, "text": "a", "target_prob": 0.5, "draft_prob": 0.5}


def read(rows: list[dict[str, Any]], refusal: str | None) -> list[RunCopy]:
    """The runs of a file of these lines; none where it has to be refused in such words."""
    text = "\n".join(map(json.dumps, rows))
    if refusal is None:
        found = list(lines.from_lines(text))
        assert found
        return found
    with pytest.raises(BadInput, match=refusal):
        lines.from_lines(text)
    return []


def nested(depth: int) -> dict[str, Any]:
    return {"x": nested(depth - 1)} if depth else {"x": 1}


def changed(change: Change) -> str:
    rows = [to_dict(event) for event in session("a")]
    change(rows)
    return "\n".join(json.dumps(row) for row in rows)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.pop(0), "Line 1: prefilled stands before any session_started"),
        (lambda rows: rows.clear(), "holds no run"),
        (lambda rows: rows.pop(2), "Step 1 stands where step 0 should be"),
        (lambda rows: rows.append(rows[1]), "one prefilled event"),
        (lambda rows: rows.append(rows[-1]), "nothing comes behind it"),
        (lambda rows: rows.insert(3, rows[-1]), "nothing comes behind it"),
        (lambda rows: rows[0].update(kind="other"), "other stands before"),
        (lambda rows: rows[1].update(kind="other"), "Line 2: Unknown event kind 'other'"),
        (lambda rows: rows[0].update(schema_version=9), "schema version 9"),
        (lambda rows: rows[0].update(extra=1), "Line 1: unknown field 'extra'"),
        (lambda rows: rows[0].pop("prompt"), "field prompt is missing"),
        (lambda rows: rows[0].update(prompt=3), "prompt: wanted text, got 3"),
        (lambda rows: rows[0].update(prompt_ids=[1, "2"]), "prompt_ids[1]: wanted a whole number"),
        (lambda rows: rows[0].update(prompt_ids=[True]), "wanted a whole number, got True"),
        (lambda rows: rows[0].update(config=[1]), "config: wanted an object"),
        (lambda rows: rows[0].update(config={"x": float("inf")}), "not JSON"),
        (lambda rows: rows[0].update(session_id="../../etc"), "session_id has 1 to 80"),
        (lambda rows: rows[0].update(created_at="soon"), "created_at is 'soon'"),
        (lambda rows: rows[0].update(created_at="2026-01-01T00:00:00"), "created_at"),
        (lambda rows: rows[0].update(model="m" * 999), "model: wanted at most 200 characters"),
        (lambda rows: rows[0].update(config={"x": [[0]] * 9_999}), "config: wanted at most 10,000 values"),
        (lambda rows: rows[0].update(config=nested(21)), "config: wanted at most 20 objects inside each other"),
        (lambda rows: rows[2].update(nodes=rows[2]["nodes"] * 1_001), "nodes: wanted at most 2,000 of them"),
        (lambda rows: rows[0].update(prompt_ids=[1] * (2**20 + 1)), "prompt_ids: wanted at most 1,048,576 of them"),
        (lambda rows: rows[2]["nodes"][0].update(text="x" * 10_001), "text: wanted at most 10,000 characters"),
        (lambda rows: rows[2].update(draft_ns="1"), "Line 3: draft_ns: wanted a whole number, got '1'"),
        (lambda rows: rows[2].update(draft_ns=-1), "draft_ns: wanted 0 or more"),
        (lambda rows: rows[2].update(draft_ns=2**60), "draft_ns"),
        (lambda rows: rows[2].update(emitted=[]), "emits nothing"),
        (lambda rows: rows[2].update(path=[1]), "not a path of its tree"),
        (lambda rows: rows[2].update(path=[7]), "not a path of its tree"),
        (lambda rows: rows[2]["nodes"][0].update(parent=0), "a parent comes before its child"),
        (lambda rows: rows[2]["nodes"][0].update(parent=-2), "nodes[0].parent: wanted -1 or more"),
        (lambda rows: rows[2]["nodes"][0].update(status="lost"), "status: wanted one of"),
        (lambda rows: rows[2]["nodes"][0].update(target_prob=1.5), "target_prob: wanted at most 1.001"),
        (lambda rows: rows[2]["emitted"][0].update(node=9), "names node 9"),
        (lambda rows: rows[2].update(judged=[{"node": 2}]), "node 2 was judged"),
        (lambda rows: rows[2].update(judged=[{"node": 0, "ratio": -1.0}]), "ratio: wanted 0 or more"),
        (lambda rows: rows[2].update(judged=[{"node": 0, "overlap": 1.5}]), "overlap: wanted at most 1.001"),
        (lambda rows: rows[2].update(judged=[{"node": 0, "chance": 1.5}]), "chance: wanted at most 1.001"),
        (lambda rows: rows[2].update(drafted_from=[{"parent": 1, "tokens": []}]), "below node 1, which is not on"),
        (lambda rows: rows[2].update(drafted_from=[{"parent": -1, "tokens": [WEIGHED] * 101}]), "at most 100 of them"),
        (
            lambda rows: rows[2].update(drafted_from=[{"parent": -1, "tokens": [WEIGHED | {"draft_prob": 2.0}]}]),
            "1.001",
        ),
        (lambda rows: rows[2]["emitted"][0]["alternatives"][0].update(text=None), "text: wanted text"),
        (lambda rows: rows[-1].update(reason="bored"), "reason: wanted one of"),
        (lambda rows: rows[-1]["counts"].update(steps=5), "The end counts 5 steps"),
        (lambda rows: rows[-1]["counts"].update(emitted=5), "The end counts 2 steps and 5 tokens"),
    ],
)
def test_a_changed_file_is_refused(change: Change, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        lines.from_lines(changed(change))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_engines_own_events_pass_the_checks() -> None:
    for event in session("a"):
        records.checked(records.model_of(type(event)), json.loads(json.dumps(to_dict(event))))


@pytest.mark.parametrize(
    ("name", "value", "is_fit"),
    [
        ("session_id", "a" * 80, True),
        ("session_id", "a" * 81, False),
        ("session_id", "", False),
        ("model", "m" * 200, True),
        ("model", "m" * 201, False),
        ("device", "", False),
    ],
)
def test_names_of_a_run_have_limits_to_the_last_character(name: str, value: str, is_fit: bool) -> None:
    rows = [json.loads(line) for line in lines.to_lines([copy_of("a")])]
    found = read([rows[0] | {name: value}, *rows[1:]], None if is_fit else name)
    assert not is_fit or getattr(found[0].started, name) == value


@pytest.mark.parametrize(
    ("path", "is_fit"), [([], True), ([0], True), ([0, 1], True), ([1], False), ([0, 0], False), ([0, 2], False)]
)
def test_an_accepted_path_is_one_of_its_tree(path: list[int], is_fit: bool) -> None:
    rows = [json.loads(line) for line in lines.to_lines([RunCopy(tuple(session("a", num_steps=1))[:3])])]
    rows[2]["path"] = path
    rows[2]["emitted"] = rows[2]["emitted"][1:]
    read(rows, None if is_fit else "not a path of its tree")


@pytest.mark.parametrize(("prob", "is_fit"), [(0, True), (1, True), (1.001, True), (1.002, False), (-0.001, False)])
def test_a_probability_lies_between_0_and_1(prob: float, is_fit: bool) -> None:
    rows = [json.loads(line) for line in lines.to_lines([RunCopy((started("a"), stepped()))])]
    rows[1]["emitted"][0]["alternatives"][0]["probability"] = prob
    read(rows, None if is_fit else "probability: wanted")
