"""Exported files: they come back equal, within limits; what is not ours is refused with the line that shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from stored import copy_of, session, started

from engine.errors import BadInput
from specviz.archive import lines
from specviz.archive.lines import Limits
from specviz.store import RunCopy

HOSTILE = "</script><img src=x onerror=alert(1)> {{x}} ${y} \u202e <!-- \ud800"


def text(*copies: RunCopy) -> str:
    return "\n".join(lines.to_lines(copies))


def test_an_exported_file_gives_equal_runs() -> None:
    copies = [
        RunCopy(tuple(session("a", prompt=HOSTILE)), "Chat", ("keep", "x"), HOSTILE, {"verdict": "identical"}, "b"),
        copy_of("b"),
        RunCopy((started("c"),)),
    ]
    assert lines.from_lines(text(*copies)) == copies
    assert lines.from_lines("\ufeff" + text(*copies).replace("\n", "\r\n\r\n") + "\n") == copies
    assert text(*copies).isascii()


def test_each_line_but_annotations_is_an_event_as_the_engine_writes_it() -> None:
    kinds = [json.loads(line)["kind"] for line in text(RunCopy(tuple(session("a")), note="n")).split("\n")]
    assert kinds == ["session_started", "prefilled", "stepped", "stepped", "session_finished", "annotations"]
    assert "annotations" not in text(copy_of("a"))


@pytest.mark.parametrize(
    "given",
    ["", " \n ", "{", "[1]", "3", "null", '{"a":1}', '{"kind":3}', "GIF89a\x00", "id,method\n1,plain", "[" * 100_000,
     '{"kind":"session_started","n":1e999}', '{"model":"gpt","messages":[]}'],
)  # fmt: skip
def test_a_foreign_file_is_refused(given: str) -> None:
    with pytest.raises(BadInput, match=r"^(Line 1|The file)"):
        lines.from_lines(given)


@pytest.mark.parametrize(
    "written",
    [{"tags": "x"}, {"tags": ["x" * 41]}, {"tags": [str(n) for n in range(21)]}, {"note": 3}, {"audit": [1]},
     {"note": "x" * 5_000}, {"owner": "me"}, {"schema_version": 3}],
)  # fmt: skip
def test_annotations_that_are_not_ours_are_refused(written: dict[str, Any]) -> None:
    line = json.dumps({"kind": "annotations", **written})
    with pytest.raises(BadInput, match="Line 6: annotations"):
        lines.from_lines(f"{text(copy_of('a'))}\n{line}")


def test_limits_are_said() -> None:
    two = text(copy_of("a"), copy_of("b"))
    with pytest.raises(BadInput, match="more than 1 runs"):
        lines.from_lines(two, Limits(runs=1))
    with pytest.raises(BadInput, match="at most 10 are read"):
        lines.from_lines(two, Limits(chars=10))


def test_limits_of_a_file_are_met_to_the_last_one() -> None:
    copy = copy_of("a", num_steps=2)
    text = "\n".join(lines.to_lines([copy]))
    just = Limits(chars=len(text), runs=1, steps=2, nodes=4)
    assert lines.from_lines(text, just) == [copy], "two steps, beside start, prefill and end"
    for limits, said in (
        (replace(just, steps=1), "Line 4: a run has more than 1 steps"),
        (replace(just, nodes=3), "Line 4: a run has more than 3 drafted tokens"),
        (replace(just, chars=len(text) - 1), f"The file has {len(text):,} characters; at most {len(text) - 1:,}"),
    ):
        with pytest.raises(BadInput, match=said):
            lines.from_lines(text, limits)
    with pytest.raises(BadInput, match="Line 4: a run has more than 1 steps"):
        lines.from_lines(text.rpartition("\n")[0], replace(just, steps=1))


@pytest.mark.parametrize(
    ("written", "is_fit"),
    [
        ({"note": "x" * 4_000}, True),
        ({"note": "x" * 4_001}, False),
        ({"tags": [str(n) for n in range(20)]}, True),
        ({"tags": [str(n) for n in range(21)]}, False),
        ({"tags": ["x" * 40]}, True),
        ({"tags": ["x" * 41]}, False),
        ({"tags": ["x", 3]}, False),
        ({"task": "x" * 200}, True),
        ({"task": "x" * 201}, False),
        ({"baseline_run_id": "x" * 80}, True),
        ({"baseline_run_id": "x" * 81}, False),
        ({"audit": {"verdict": "identical"}}, True),
        ({"audit": {"gap": float("inf")}}, False),
    ],
)
def test_annotations_have_limits_to_the_last_character(written: dict[str, Any], is_fit: bool) -> None:
    text = "\n".join(lines.to_lines([copy_of("a")]))
    text += "\n" + json.dumps({"kind": "annotations", **written})
    if is_fit:
        (copy,) = lines.from_lines(text)
        name, value = next(iter(written.items()))
        assert getattr(copy, name) == (tuple(sorted(value)) if name == "tags" else value)
    else:
        with pytest.raises(BadInput, match="Line 6"):
            lines.from_lines(text)
