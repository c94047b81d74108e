"""The Sessions view's handlers: the list, marks, files in and out; anything may be asked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asking import ask, page_of
from scripted_kinds import HOSTILE
from stored import copy_of, save, session, started, stepped

from engine.events import Emitted, Node, Stepped
from specviz.archive import lines, records
from specviz.decoding.visitors import Visitors
from specviz.pages.inspector import Inspector
from specviz.pages.saved import SavedRuns
from specviz.policy import PUBLIC
from specviz.showing.channel import Streams
from specviz.showing.replay import replay
from specviz.store import RunCopy, Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "runs.db") as opened:
        yield opened


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
        assert rows["fast"]["speedup"] == "claimed: 7.00"
    assert "Line 1" in ask(page.take_in, "GIF89a")["error"]
    assert "cannot be read" in ask(page.take_in, {"path": "/etc/passwd"})["error"]


def test_a_run_outlives_its_baseline(page: SavedRuns) -> None:
    page.store.trash(["plain"])
    happenings = list(replay(page.store, "fast"))
    assert [event for event in happenings if isinstance(event, Stepped)] == [stepped(0), stepped(1)]
    assert json.loads(page.open("fast"))["status"]["phase"] == "finished"


def test_a_run_that_a_file_holds_twice_is_new_once(store: Store) -> None:
    page = SavedRuns(store, Streams())
    copy = copy_of("a")
    file = "\n".join(lines.to_lines([copy, copy, RunCopy((started("b"),))]))
    assert ask(page.take_in, {"text": file}) == {"added": ["a", "b"], "known": 0}
    assert ask(page.take_in, {"text": file}) == {"added": [], "known": 2}
    assert store.count_runs() == 2


def test_a_public_instance_takes_small_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "SMALL", lines.Limits(runs=1))
    file = "\n".join(lines.to_lines([copy_of("a"), copy_of("b")]))
    assert (
        "more than 1 runs"
        in ask(SavedRuns(store, Streams(), Visitors(replace(PUBLIC, imports="small"))).take_in, {"text": file})["error"]
    )
    assert ask(SavedRuns(store, Streams()).take_in, {"text": file})["added"] == ["a", "b"]


@pytest.mark.parametrize("nodes", [2_000, 2_001])
def test_the_largest_step_that_is_taken_opens_everywhere(store: Store, nodes: int) -> None:
    """A chain of which half is accepted; one node more is refused with a sentence."""
    page, kept = SavedRuns(store, Streams()), nodes // 2
    tree = tuple(Node(place, "x", place - 1, "accepted" if place < kept else "rejected") for place in range(nodes))
    tokens = tuple(Emitted(place, "x", "accepted", place) for place in range(kept))
    wide = replace(stepped(), nodes=tree, path=tuple(range(kept)), emitted=(*tokens, Emitted(7, "y", "correction")))
    file = "\n".join(lines.to_lines([RunCopy((started("wide"), wide))]))
    answer = ask(page.take_in, {"text": file})
    if nodes > records.MOST_NODES:
        assert "Line 2: nodes: wanted at most 2,000 of them" in answer["error"]
        return
    (step,) = json.loads(page.open("wide"))["steps"]
    assert (len(step["k"]), len(step["tree"]["t"]), step["more"] + len(step["g"])) == (kept + 1, nodes, nodes - kept)
    (read,) = json.loads(Inspector(store).read("wide"))["steps"]
    assert len(read["up"]) == nodes


def test_what_is_here_already_is_counted(store: Store) -> None:
    page = page_of(store, "a")
    file = "\n".join(lines.to_lines([copy_of(name) for name in "abc"]))
    assert ask(page.take_in, {"text": file}) == {"added": ["b", "c"], "known": 1}


def test_a_note_has_at_most_4000_characters_and_a_tag_40(store: Store) -> None:
    page = page_of(store, "a")
    assert ask(page.mark, {"action": "note", "ids": ["a"], "text": "x" * 4_000}) == {"noted": ["a"]}
    assert "4,000 characters" in ask(page.mark, {"action": "note", "ids": ["a"], "text": "y" * 4_001})["error"]
    assert store.get_run("a").note == "x" * 4_000
    assert ask(page.mark, {"action": "tag", "ids": ["a"], "text": "t" * 40}) == {"tagged": ["a"]}
    assert "error" in ask(page.mark, {"action": "tag", "ids": ["a"], "text": "t" * 41})


def test_the_21st_tag_is_refused_and_one_that_is_there_is_none(store: Store) -> None:
    page = page_of(store, "a", "b")
    words = [f"tag{place:02}" for place in range(20)]
    for word in words:
        assert ask(page.mark, {"action": "tag", "ids": ["a"], "text": word}) == {"tagged": ["a"]}
    assert ask(page.mark, {"action": "tag", "ids": ["a"], "text": "more"})["error"] == "A run takes at most 20 tags."
    assert "at most 20" in ask(page.mark, {"action": "tag", "ids": ["b", "a"], "text": "more"})["error"]
    assert store.get_run("b").tags == (), "nothing was changed"
    assert ask(page.mark, {"action": "tag", "ids": ["a"], "text": words[3]}) == {"tagged": ["a"]}
    assert store.get_run("a").tags == tuple(words)
    assert ask(page.mark, {"action": "untag", "ids": ["a"], "text": words[3]}) == {"tagged": ["a"]}
    assert ask(page.mark, {"action": "tag", "ids": ["a"], "text": "more"}) == {"tagged": ["a"]}


def test_a_note_is_for_the_first_run_alone(store: Store) -> None:
    page = page_of(store, "a", "b")
    assert ask(page.mark, {"action": "note", "ids": ["b", "a"], "text": "mine"}) == {"noted": ["b"]}
    assert (store.get_run("a").note, store.get_run("b").note) == ("", "mine")


def test_a_saved_run_opens(page: SavedRuns) -> None:
    message = json.loads(page.open("fast"))
    assert [token["t"] for token in message["steps"][0]["k"]] == [" there", " lived"]
    assert message["status"]["phase"] == "finished"


@pytest.mark.parametrize("run_id", ["nobody", "", None, 3, "x" * 200, "<b>", "\ud800"])
def test_an_id_that_is_none_gets_a_sentence(store: Store, run_id: Any) -> None:
    message = json.loads(SavedRuns(store, Streams()).open(run_id))
    assert message["alert"].endswith(".")
    assert len(message["alert"]) < 200
