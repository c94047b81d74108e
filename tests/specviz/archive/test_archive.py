"""Exported files: they come back equal, and what is not ours is refused with the line that shows it."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from stored import finished, save, session, started, stepped

from engine.errors import BadInput
from engine.events import SCHEMA_VERSION, SessionStarted, Stepped, to_dict
from specviz.archive import checks, lines, tables
from specviz.pages import offline
from specviz.showing.trace import trace
from specviz.store import RunCopy, Store, open_store
from specviz.store.models import STEPS
from specviz.text import to_wire

HOSTILE = "</script><img src=x onerror=alert(1)> {{x}} ${y} \u202e <!-- \ud800"


@pytest.fixture
def store() -> Iterator[Store]:
    with open_store(":memory:") as opened:
        yield opened


def text(*copies: RunCopy) -> str:
    return "\n".join(lines.to_lines(copies))


def test_an_exported_file_gives_equal_runs() -> None:
    copies = [
        RunCopy(tuple(session("a", prompt=HOSTILE)), "Chat", ("keep", "x"), HOSTILE, {"verdict": "identical"}, "b"),
        RunCopy(tuple(session("b"))),
        RunCopy((started("c"),)),
    ]
    assert lines.from_lines(text(*copies)) == copies
    assert lines.from_lines("\ufeff" + text(*copies).replace("\n", "\r\n\r\n") + "\n") == copies
    assert text(*copies).isascii()


def test_each_line_but_annotations_is_an_event_as_the_engine_writes_it() -> None:
    kinds = [json.loads(line)["kind"] for line in text(RunCopy(tuple(session("a")), note="n")).split("\n")]
    assert kinds == ["session_started", "prefilled", "stepped", "stepped", "session_finished", "annotations"]
    assert "annotations" not in text(RunCopy(tuple(session("a"))))


def test_a_file_of_schema_1_opens_and_says_the_same(store: Store) -> None:
    """Written by the last version that had it: two runs of five tokens, one of them with annotations."""
    given = (Path(__file__).parent / "schema_1.jsonl").read_text(encoding="utf-8")
    drawn, rejected = copies = lines.from_lines(given)
    assert (drawn.task, drawn.tags, drawn.note) == ("Story", ("fixture", "schema 1"), "kept")
    for copy in copies:
        events = copy.events
        assert isinstance(events[0], SessionStarted)
        assert events[0].schema_version == SCHEMA_VERSION
        steps = [event for event in events if isinstance(event, Stepped)]
        assert sum(len(step.emitted) for step in steps) == 5
        assert all(step.judged == () for step in steps)
    assert [node.token_id for node in cast(Stepped, rejected.events[2]).nodes] == [
        row["token_id"] for row in json.loads(given.split("\n")[11])["nodes"]
    ]
    again = (
        text(*copies).replace(f'"schema_version":{SCHEMA_VERSION}', '"schema_version":1').replace('"judged":[],', "")
    )
    assert again == given.rstrip("\n")
    assert lines.from_lines(text(*copies)) == copies


def test_a_stored_run_of_schema_1_opens(store: Store) -> None:
    """Its events stand in the database as they were written."""
    given = (Path(__file__).parent / "schema_1.jsonl").read_text(encoding="utf-8").split("\n")
    (copy,) = lines.from_lines("\n".join(given[:8]))
    run_id = save(store, list(copy.events))
    with store._database.writing() as connection:
        for seq, line in enumerate(given[: len(copy.events)]):
            changed = connection.execute(STEPS.update().where(STEPS.c.seq == seq).values(payload=line))
            assert changed.rowcount == 1
    assert tuple(store.events(run_id)) == copy.events


Change = Callable[[list[dict[str, Any]]], Any]


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
        (lambda rows: rows[0].update(prompt_ids=[1, "2"]), "prompt_ids: wanted a whole number"),
        (lambda rows: rows[0].update(prompt_ids=[True]), "wanted a whole number, got True"),
        (lambda rows: rows[0].update(config=[1]), "config: wanted an object"),
        (lambda rows: rows[0].update(config={"x": float("inf")}), "not JSON"),
        (lambda rows: rows[0].update(session_id="../../etc"), "session_id has 1 to 80"),
        (lambda rows: rows[0].update(created_at="soon"), "created_at is 'soon'"),
        (lambda rows: rows[0].update(created_at="2026-01-01T00:00:00"), "created_at"),
        (lambda rows: rows[0].update(model="m" * 999), "model is empty or longer"),
        (lambda rows: rows[2].update(draft_ns="1"), "Line 3: draft_ns: wanted a whole number, got '1'"),
        (lambda rows: rows[2].update(draft_ns=-1), "draft_ns: wanted zero or more"),
        (lambda rows: rows[2].update(draft_ns=2**60), "draft_ns"),
        (lambda rows: rows[2].update(emitted=[]), "emits nothing"),
        (lambda rows: rows[2].update(path=[1]), "not a path of its tree"),
        (lambda rows: rows[2].update(path=[7]), "not a path of its tree"),
        (lambda rows: rows[2]["nodes"][0].update(parent=0), "a parent comes before its child"),
        (lambda rows: rows[2]["nodes"][0].update(parent=-2), "parent: wanted a node"),
        (lambda rows: rows[2]["nodes"][0].update(status="lost"), "status: wanted one of"),
        (lambda rows: rows[2]["nodes"][0].update(target_prob=1.5), "target_prob: wanted a probability"),
        (lambda rows: rows[2]["emitted"][0].update(node=9), "names node 9"),
        (lambda rows: rows[2].update(judged=[{"node": 2}]), "node 2 was judged"),
        (lambda rows: rows[2].update(judged=[{"node": 0, "ratio": -1.0}]), "ratio: wanted zero or more"),
        (lambda rows: rows[2].update(judged=[{"node": 0, "overlap": 1.5}]), "overlap: wanted a probability"),
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
        lines.from_lines(f"{text(RunCopy(tuple(session('a'))))}\n{line}")


def test_limits_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    two = text(RunCopy(tuple(session("a"))), RunCopy(tuple(session("b"))))
    monkeypatch.setattr(lines, "MAX_RUNS", 1)
    with pytest.raises(BadInput, match="more than 1 runs"):
        lines.from_lines(two)
    monkeypatch.setattr(lines, "MAX_CHARS", 10)
    with pytest.raises(BadInput, match="at most 10 are read"):
        lines.from_lines(two)


def test_the_engines_own_events_pass_the_checks() -> None:
    for event in session("a"):
        checks.check_fields(type(event), json.loads(json.dumps(to_dict(event))))


# tables


@pytest.fixture
def two(store: Store) -> Store:
    save(store, session("plain", method="plain", prompt="=1+1"))
    fast = session("fast", prompt="=1+1")
    save(store, [*fast[:-1], dataclasses.replace(finished(), decode_ns=11)])
    store.set_baseline("fast", "plain")
    store.add_tag("fast", "a")
    store.add_tag("fast", "b")
    store.flush()
    return store


def test_csv_has_a_row_for_each_run_and_runs_no_formula(two: Store) -> None:
    runs = two.list_runs()
    found = list(csv.DictReader(io.StringIO(tables.to_csv(runs, {run.id: run for run in runs}), newline="")))
    rows = {row["id"]: row for row in found}
    assert rows["fast"]["prompt"] == "'=1+1"
    assert rows["fast"]["tags"] == "a, b"
    assert float(rows["fast"]["speedup"]) == pytest.approx(7.0)
    assert (rows["plain"]["speedup"], rows["plain"]["block_efficiency"]) == ("", "2.0")
    assert tuple(found[0]) == tables.COLUMNS


def test_parquet_has_the_same_rows_with_types(two: Store) -> None:
    import pyarrow.parquet as pq

    runs = two.list_runs()
    table = pq.read_table(io.BytesIO(tables.to_parquet(runs, {run.id: run for run in runs})))
    rows = {row["id"]: row for row in table.to_pylist()}
    assert rows["fast"]["prompt"] == "=1+1"
    assert rows["fast"]["speedup"] == pytest.approx(7.0)
    assert rows["plain"]["speedup"] is None
    assert json.loads(rows["fast"]["config"])["seed"] == 7
    assert {str(table.schema.field(name).type) for name in ("seed", "decode_ns", "num_prompt_tokens")} == {"int64"}


def test_an_empty_table_still_has_its_columns() -> None:
    assert tables.to_csv([], {}).count("\r\n") == 1
    assert tables.to_parquet([], {})[:4] == b"PAR1"


def test_a_run_with_a_broken_half_can_be_exported(store: Store) -> None:
    save(store, session("a", prompt="half \ud83d"))
    assert "half \\ud83d" in tables.to_csv(store.list_runs(), {})
    assert tables.to_parquet(store.list_runs(), {})


# the page


def test_the_page_holds_no_text_of_a_run_as_markup(store: Store) -> None:
    events = session("a", prompt=HOSTILE, model=HOSTILE)
    save(store, [*events[:2], stepped(0, HOSTILE), finished()])
    page = offline.to_html(store, ["a"])
    assert "<img" not in page
    assert page.count("<script") == page.count("</script>") == 2
    block = re.search(r'<script type="application/json" id="runs">(.*?)</script>', page)
    assert block
    (run,) = json.loads(block[1])["runs"]
    assert run["prompt"].startswith("</script><img src=x")
    assert run["message"]["status"]["phase"] == "finished"
    assert run["trace"] == json.loads(to_wire(trace(store.events("a"))))


def test_the_page_may_load_nothing(store: Store) -> None:
    save(store, session("a"))
    page = offline.to_html(store, ["a"])
    assert "default-src 'none'" in page
    outside = page.replace("http://www.w3.org/2000/svg", "")
    assert "://" not in outside
    assert "@import" not in outside
