"""The Sessions view's handlers: the list, marks, files in and out, runs side by side; anything may be asked."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from asking import ask
from scripted import HOSTILE, ScriptedDevice, ScriptedRecorder
from stored import finished, save, session, started, stepped

from engine.config import GenerationConfig
from engine.errors import BadInput
from engine.events import Event, SessionStarted, Stepped
from specviz.decoding.device import Request
from specviz.decoding.session import Sessions
from specviz.explaining.examples import examples, task_of
from specviz.pages import exports
from specviz.pages.saved import SavedRuns
from specviz.showing import comparison, listing
from specviz.showing.channel import Streams
from specviz.showing.replay import replay
from specviz.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "runs.db") as opened:
        yield opened


@pytest.fixture
def page(store: Store) -> SavedRuns:
    save(store, session("plain", method="plain"))
    save(store, [*session("fast")[:-1], dataclasses.replace(finished(), decode_ns=11)])
    store.set_baseline("fast", "plain")
    assert store.flush()
    return SavedRuns(store, Streams())


def ask(handler: Any, given: Any) -> dict[str, Any]:
    text = handler(given)
    assert text.isascii()
    assert "<" not in text
    return cast(dict[str, Any], json.loads(text))


def test_the_list_holds_rows_numbers_and_choices(page: SavedRuns) -> None:
    found = ask(page.find, {})
    rows = {row["id"]: row for row in found["rows"]}
    assert (found["total"], found["first"], found["is_filtered"]) == (2, 1, False)
    assert (rows["fast"]["speedup"], rows["plain"]["speedup"]) == ("7.00", "–")
    assert (rows["fast"]["tokens"], rows["fast"]["sampling"]) == ("4", "0.5")
    assert found["known"]["method"] == ["draft_model", "plain"]
    assert found["kept"] == "Kept in runs.db."
    filtered = ask(page.find, json.dumps({"method": "plain", "sort": "speed"}))
    assert ([row["id"] for row in filtered["rows"]], filtered["is_filtered"]) == (["plain"], True)


def test_a_speedup_against_another_prompt_or_a_cut_run_is_none(page: SavedRuns) -> None:
    page.store.begin(started("cut", prompt="Once upon a time"))
    save(page.store, session("other", prompt="Another"))
    for run_id in ("cut", "other"):
        page.store.set_baseline(run_id, "plain")
    page.store.flush()
    rows = {row["id"]: row["speedup"] for row in ask(page.find, {})["rows"]}
    assert (rows["cut"], rows["other"]) == ("–", "–")


@pytest.mark.parametrize(
    "given",
    [None, 3, "{", "[]", {"sort": "<b>"}, {"page": -1}, {"page": "1"}, {"status": "x"}, {"sampling": 1},
     {"since": "soon"}, {"search": "x" * 201}, {"method": 3}, {"page": 10**9}],
)  # fmt: skip
def test_a_question_that_is_none_gets_a_sentence(page: SavedRuns, given: Any) -> None:
    assert ask(page.find, given)["error"].endswith(".")


def test_hostile_texts_are_only_texts(store: Store) -> None:
    for place, word in enumerate(HOSTILE):
        save(store, session(f"r{place}", prompt=word, model=word.replace("\ud800", "")))
    page = SavedRuns(store, Streams())
    assert len(ask(page.find, {"search": HOSTILE[0]})["rows"]) == 1
    for action in ("tag", "note"):
        ask(page.mark, {"action": action, "ids": ["r0"], "text": "<script>" if action == "tag" else HOSTILE[0]})
    (row,) = ask(page.find, {"tag": "<script>"})["rows"]
    assert (row["tags"], row["note"]) == (["<script>"], HOSTILE[0])


def test_runs_are_tagged_noted_deleted_and_brought_back(page: SavedRuns) -> None:
    both = ["fast", "plain"]
    assert ask(page.mark, {"action": "tag", "ids": both, "text": " keep "}) == {"tagged": both}
    assert ask(page.find, {"tag": "keep"})["total"] == 2
    ask(page.mark, {"action": "untag", "ids": ["plain"], "text": "keep"})
    assert ask(page.find, {"tag": "keep"})["total"] == 1
    assert ask(page.mark, {"action": "delete", "ids": [*both, "nobody"]})["deleted"] == both
    assert ask(page.find, {})["total"] == 0
    assert "may have been deleted" in json.loads(page.open("fast"))["alert"]
    assert ask(page.mark, {"action": "restore", "ids": both})["restored"] == both
    assert ask(page.find, {})["total"] == 2


@pytest.mark.parametrize(
    "given",
    [{}, {"action": "delete", "ids": []}, {"action": "delete", "ids": "fast"}, {"action": "tag", "ids": ["fast"]},
     {"action": "tag", "ids": ["fast"], "text": "x" * 41}, {"action": "note", "ids": ["nobody"], "text": "x"},
     {"action": "note", "ids": ["fast"], "text": "x" * 5_000}, {"action": "burn", "ids": ["fast"]},
     {"action": "delete", "ids": [str(n) for n in range(201)]}],
)  # fmt: skip
def test_a_mark_that_is_none_gets_a_sentence_and_changes_nothing(page: SavedRuns, given: Any) -> None:
    before = page.store.list_runs()
    assert ask(page.mark, given)["error"].endswith(".")
    assert page.store.list_runs() == before


def test_a_locked_database_is_said_and_nothing_is_lost(page: SavedRuns, tmp_path: Path) -> None:
    with page.store._database.writing() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=1")
    other = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for given in ({"action": "delete", "ids": ["fast"]}, {"action": "note", "ids": ["fast"], "text": "x"}):
        assert "is locked by another program" in ask(page.mark, given)["error"]
    text = ask(page.export, {"kind": "jsonl", "ids": ["fast"]})["content"]
    assert "is locked" in ask(page.take_in, text)["error"]
    other.execute("ROLLBACK")
    other.close()
    assert ask(page.find, {})["total"] == 2


def test_a_full_disk_is_said_and_half_a_file_is_never_imported(page: SavedRuns, tmp_path: Path) -> None:
    text = ask(page.export, {"kind": "jsonl", "ids": ["fast"]})["content"]
    with open_store(tmp_path / "small.db") as small:
        with small._database.writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1")
        other = SavedRuns(small, Streams())
        big = text.replace("Once upon a time", "Once upon a time " * 50_000)
        assert "disk of small.db is full" in ask(other.take_in, big)["error"]
        assert ask(other.find, {})["total"] == 0


# files


def test_a_file_of_lines_brings_the_run_and_its_baseline_to_another_database(page: SavedRuns) -> None:
    text = ask(page.export, {"kind": "jsonl", "ids": ["fast"]})["content"]
    with open_store(":memory:") as store:
        other = SavedRuns(store, Streams())
        assert ask(other.take_in, text) == {"added": ["plain", "fast"], "known": 0}
        assert ask(other.take_in, text) == {"added": [], "known": 2}
        assert [store.copy(run_id) for run_id in ("plain", "fast")] == [
            page.store.copy(run_id) for run_id in ("plain", "fast")
        ]
        rows = {row["id"]: row for row in ask(other.find, {})["rows"]}
        assert rows["fast"]["speedup"] == "7.00"
    assert "Line 1" in ask(page.take_in, "GIF89a")["error"]
    assert "cannot be read" in ask(page.take_in, {"path": "/etc/passwd"})["error"]


def test_all_that_was_found_becomes_a_table(page: SavedRuns) -> None:
    file = ask(page.export, {"kind": "csv", "listing": {"method": "plain"}})
    assert file["content"].count("\r\n") == 2
    assert file["name"].endswith(".csv")
    parquet = ask(page.export, {"kind": "parquet", "ids": ["fast"]})
    assert parquet["is_base64"] is True


@pytest.mark.parametrize(
    "given",
    [{}, {"kind": "exe", "ids": ["fast"]}, {"kind": "jsonl"}, {"kind": "html", "ids": ["nobody"]},
     {"kind": "csv", "ids": ["nobody"]}, {"kind": "jsonl", "ids": [str(n) for n in range(exports.MAX_WHOLE_RUNS + 1)]}],
)  # fmt: skip
def test_a_file_that_cannot_be_made_gets_a_sentence(page: SavedRuns, given: Any) -> None:
    assert ask(page.export, given)["error"].endswith(".")


# side by side


def timed(run_id: str, step_ms: float, texts: str = "abcdefghijklmnopqrst", **fields: Any) -> list[Event]:
    """One token a step, each in the given time."""
    first = started(run_id, **fields)
    ns = {"draft_ns": 0, "target_ns": int(step_ms * 1e6), "verify_ns": 0, "commit_ns": 0, "host_ns": 0}
    steps = []
    for place, letter in enumerate(texts):
        step = stepped(place)
        token = dataclasses.replace(step.emitted[1], token_id=ord(letter))
        steps.append(dataclasses.replace(step, nodes=(), path=(), emitted=(token,), **ns))
    return [first, *cast(list[Event], steps), finished()]


def test_a_paired_difference_counts_the_text_that_both_wrote() -> None:
    pair = comparison.paired(timed("a", 10.0), timed("b", 7.0, "abcdefghijklmnopqXst"))
    assert (pair.num_shared, pair.num_pairs) == (17, 2)
    assert pair.mean_ms == pytest.approx(-3.0)
    assert pair.spread_ms == pytest.approx(0.0)
    assert comparison.paired_text(pair) == (
        "3.00 ± 0.00 ms per token faster (n = 2 blocks of 8 tokens that both wrote)"
    )


def test_the_spread_of_paired_differences_is_a_samples() -> None:
    slow = [*timed("b", 7.0)[:9], *timed("b", 5.0)[9:]]
    pair = comparison.paired(timed("a", 10.0), slow)
    assert pair.differences_ms == pytest.approx((-3.0, -5.0))
    assert pair.spread_ms == pytest.approx(2**0.5)


def test_texts_that_part_at_once_have_no_paired_difference() -> None:
    pair = comparison.paired(timed("a", 10.0), timed("b", 7.0, "Xbcdefgh"))
    assert pair.mean_ms is None
    assert "share only their first 0 tokens" in comparison.paired_text(pair)
    alone = comparison.paired(timed("a", 10.0), timed("b", 12.5, "abcdefgh"))
    assert comparison.paired_text(alone).startswith("2.50 ms per token slower (n = 1 ")
    assert "one pair alone shows no spread" in comparison.paired_text(alone)


def test_only_settings_that_differ_are_shown() -> None:
    runs = [started("a"), started("b", dtype="float32", config={"seed": 8}, method_options={"depth": 4, "k": 2})]
    rows, num_same = comparison.differences(runs)
    found = {name: values for name, *values in rows}
    assert found["dtype"] == ["bfloat16", "float32"]
    assert found["seed"] == ["7", "8"]
    assert found["option k"] == ["–", "2"]
    assert "option depth" not in found
    assert "prompt" not in found
    assert num_same == 8


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"prompt": "Another"}, "prompts"),
        ({"dtype": "float32"}, "precisions"),
        ({"machine": {"processor": "arm"}}, "machines"),
        ({"device": "cuda:0"}, "devices"),
        ({"model": "other"}, "targets"),
        ({"config": {"temperature": 0.5, "seed": 8}}, "seeds"),
        ({"config": {"temperature": 0.9, "seed": 7}}, "sampling"),
    ],
)
def test_what_makes_a_comparison_unfair_is_said(fields: dict[str, Any], word: str) -> None:
    runs: list[SessionStarted] = [started("a"), started("b", **fields)]
    (warning,) = comparison.warnings(runs, ["finished", "finished"])
    assert word in warning
    assert comparison.warnings([started("a"), started("b")], ["finished"] * 2) == []
    assert "came to their end" in comparison.warnings([started("a")], ["stopped"])[0]


def test_runs_side_by_side_have_figures_that_the_charts_can_draw(page: SavedRuns) -> None:
    found = ask(page.compare, ["plain", "fast"])
    assert [run["label"] for run in found["runs"]] == ["1 · plain", "2 · draft_model"]
    assert found["warnings"] == []
    assert [row[0] for row in found["settings"]] == ["method"]
    assert {name: len(figure["series"]) for name, figure in found["figures"].items()} == {
        "tokens": 2,
        "differences": 0,
        "acceptance": 2,
        "split": 3,
    }


def test_runs_side_by_side_are_held_against_the_first(store: Store) -> None:
    for name, step_ms, cut in (("first", 10.0, 0), ("quick", 7.0, 0), ("slow", 12.5, 1)):
        save(store, timed(name, step_ms)[: -1 if cut else None])
    found = ask(SavedRuns(store, Streams()).compare, ["first", "quick", "slow"])
    texts = [(pair["label"][:1], pair["text"].partition(" (")[0]) for pair in found["paired"]]
    assert texts == [("2", "3.00 ± 0.00 ms per token faster"), ("3", "2.50 ± 0.00 ms per token slower")]
    assert found["warnings"] == [comparison.WARNINGS["cut"]], "the last one has not ended"
    assert [run["id"] for run in found["runs"]] == ["first", "quick", "slow"]


@pytest.mark.parametrize(
    ("given", "said"),
    [(["fast"], "2 to 8 runs"), ([], "Choose a run"), (["fast", "nobody"], "no run 'nobody'"), ("x", "no runs' ids"),
     ([str(n) for n in range(9)], "at most 8"), (["fast", "fast"], "2 to 8")],
)  # fmt: skip
def test_runs_that_cannot_be_compared_get_a_sentence(page: SavedRuns, given: Any, said: str) -> None:
    assert said in ask(page.compare, given)["error"]


def test_an_address_names_runs_to_compare(page: SavedRuns) -> None:
    value, _ = page.arrive({"view": "sessions", "ids": "plain,fast,"})
    shown = json.loads(value)
    assert json.loads(shown["compare"])["runs"][1]["id"] == "fast"
    assert shown["open"] == ""
    page.store.trash(["fast"])
    value, _ = page.arrive({"view": "sessions", "ids": "plain,fast"})
    assert "may have been deleted" in json.loads(json.loads(value)["compare"])["error"]


# what a run carries


def test_a_run_outlives_its_baseline(page: SavedRuns) -> None:
    page.store.trash(["plain"])
    happenings = list(replay(page.store, "fast"))
    assert [event for event in happenings if isinstance(event, Stepped)] == [stepped(0), stepped(1)]
    assert json.loads(page.open("fast"))["status"]["phase"] == "finished"


def test_a_run_of_an_example_has_its_task_and_one_of_changed_words_has_none() -> None:
    example = examples()[0]
    recorder = ScriptedRecorder()
    for prompt in (example.prompt, example.prompt + "!"):
        config = GenerationConfig(max_new_tokens=3)
        request = Request(prompt, "toy", "plain", {}, config, has_baseline=False)
        for _ in Sessions(ScriptedDevice(), recorder).run(request, "v"):
            pass
    assert sorted(recorder.tasks.values()) == ["", example.task]
    assert task_of("") == ""


def test_ids_are_checked_one_by_one() -> None:
    assert listing.run_ids(["a", "a", "b"]) == ["a", "b"]
    with pytest.raises(BadInput, match="no runs' ids"):
        listing.run_ids(["a", 3])
