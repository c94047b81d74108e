"""Whose runs a browser may change: everybody's at home, its own on a public instance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedDevice, ScriptedRecorder
from stored import copy_of, save, session

from specviz.archive import lines
from specviz.decoding.request import parse
from specviz.decoding.session import Sessions
from specviz.decoding.visitors import Visitors, hashed
from specviz.flags import parse_flags
from specviz.pages.saved import SavedRuns
from specviz.policy import HOME, PUBLIC
from specviz.showing.channel import Streams
from specviz.store import Store, open_store

MINE, OTHERS = "0" * 32, "f" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "runs.db") as opened:
        for name, token in (("mine", MINE), ("others", OTHERS), ("nobodys", None)):
            events = session(name)
            run = opened.begin(events[0], visitor=hashed(token))  # type: ignore[arg-type]
            for event in events[1:]:
                run.append(event)
        assert opened.flush()
        yield opened


def page(store: Store, is_public: bool) -> SavedRuns:
    return SavedRuns(store, Streams(), Visitors(replace(PUBLIC, imports="any") if is_public else HOME))


def mark(shown: SavedRuns, action: str, *ids: str, visitor: Any = MINE) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        shown.mark(json.dumps({"action": action, "ids": ids, "text": "word", "visitor": visitor}))
    )
    return answer


@pytest.mark.parametrize("action", ["tag", "untag", "note", "delete", "restore"])
@pytest.mark.parametrize("run_id", ["others", "nobodys"])
def test_on_a_public_instance_only_the_maker_changes_a_run(store: Store, action: str, run_id: str) -> None:
    shown = page(store, is_public=True)
    if action == "restore":
        store.trash([run_id])
    for ids in ((run_id,), ("mine", run_id)):
        answer = mark(shown, action, *ids)
        assert "may look at a run and export it" in answer["error"]
        assert "Nothing was changed" in answer["error"]
    row = store.get_run("mine")
    assert (row.tags, row.note) == ((), "")
    assert store.count_runs() == (2 if action == "restore" else 3)


@pytest.mark.parametrize("visitor", [None, "", 3, [], "x", MINE.upper() + "é", hashed(OTHERS), {"a": 1}])
def test_a_token_that_is_none_changes_nothing(store: Store, visitor: Any) -> None:
    for run_id in ("mine", "others", "nobodys"):
        assert "error" in mark(page(store, is_public=True), "delete", run_id, visitor=visitor)
    assert store.count_runs() == 3


def test_the_maker_tags_notes_deletes_and_brings_back(store: Store) -> None:
    shown = page(store, is_public=True)
    assert mark(shown, "tag", "mine") == {"tagged": ["mine"]}
    assert mark(shown, "note", "mine") == {"noted": ["mine"]}
    assert mark(shown, "delete", "mine") == {"deleted": ["mine"]}
    assert mark(shown, "restore", "mine", visitor=OTHERS).keys() == {"error"}
    assert mark(shown, "restore", "mine") == {"restored": ["mine"]}
    assert store.get_run("mine").tags == ("word",)


def test_at_home_everybody_changes_everything(store: Store) -> None:
    shown = page(store, is_public=False)
    for visitor in (MINE, None):
        assert mark(shown, "delete", "others", "nobodys", visitor=visitor)["deleted"]
        assert store.count_runs() == 1
        assert mark(shown, "restore", "others", "nobodys", visitor=visitor)["restored"]
        assert store.count_runs() == 3


@pytest.mark.parametrize(("is_public", "changeable"), [(True, {"mine"}), (False, {"mine", "others", "nobodys"})])
def test_the_list_says_what_may_be_changed_and_nobodys_token(
    store: Store, is_public: bool, changeable: set[str]
) -> None:
    text = page(store, is_public).find(json.dumps({"visitor": MINE}))
    assert {row["id"] for row in json.loads(text)["rows"] if row["mayChange"]} == changeable
    assert ("Whoever opens this page can read what is in this list" in text) == is_public
    assert hashed(MINE) not in text
    assert MINE not in text


def test_others_export_and_what_they_import_is_theirs(store: Store, tmp_path: Path) -> None:
    shown = page(store, is_public=True)
    file = json.loads(shown.export(json.dumps({"kind": "jsonl", "ids": ["others"]})))["content"]
    assert hashed(OTHERS) not in file
    with open_store(tmp_path / "other.db") as other:
        there = page(other, is_public=True)
        assert json.loads(there.take_in({"text": file, "visitor": MINE}))["added"] == ["others"]
        assert mark(there, "delete", "others", visitor=OTHERS).keys() == {"error"}
        assert mark(there, "delete", "others") == {"deleted": ["others"]}


def test_an_import_does_not_take_the_place_of_anothers_deleted_run(store: Store) -> None:
    shown = page(store, is_public=True)
    file = lines.to_text([store.copy("others")])
    mark(shown, "delete", "others", visitor=OTHERS)
    assert "error" in json.loads(shown.take_in({"text": file, "visitor": MINE}))
    assert mark(shown, "restore", "others", visitor=OTHERS) == {"restored": ["others"]}


def test_a_file_with_anothers_run_is_taken_in_beside_it(store: Store) -> None:
    file = lines.to_text([store.copy("others"), copy_of("new")])
    answer = json.loads(page(store, is_public=True).take_in({"text": file, "visitor": MINE}))
    assert answer == {"added": ["new"], "known": 1}
    assert store.makers(["others", "new"]) == {"others": hashed(OTHERS), "new": hashed(MINE)}


def test_a_run_is_of_the_browser_whose_page_asked_for_it() -> None:
    device, recorder = ScriptedDevice(), ScriptedRecorder()
    sessions = Sessions(device, recorder)
    sessions.visitors.greet("page", MINE)
    settings = json.dumps({"method": "scripted", "options": {}, "sampling": {"max_new_tokens": 6}})
    for asking in ("page", "another page"):
        for _ in sessions.run(parse(device, "Hi", "toy", settings, True), asking):
            pass
    assert list(recorder.visitors.values()) == [hashed(MINE), hashed(MINE), "", ""]


def test_pages_are_forgotten_from_the_oldest_on() -> None:
    visitors = Visitors(most=2)
    for name in "abca":
        visitors.greet(name, MINE)
    assert [visitors.of_page(name) for name in "abcd"] == [hashed(MINE), "", hashed(MINE), ""]
    again = Visitors(most=2)
    for name in "abac":  # one that greets again is the newest
        again.greet(name, MINE)
    assert [again.of_page(name) for name in "abc"] == [hashed(MINE), "", hashed(MINE)]
    visitors.greet("a", "no token")
    assert visitors.of_page("a") == ""


def test_a_space_is_public_and_home_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert [parse_flags(flags).public for flags in ([], ["--public"])] == [False, True]
    monkeypatch.setenv("SPACE_ID", "someone/specviz")
    assert [parse_flags(flags).public for flags in ([], ["--no-public"])] == [True, False]


def test_runs_of_an_older_database_are_nobodys(store: Store) -> None:
    save(store, session("old"))
    assert store.makers(["old", "unknown"]) == {"old": ""}


@pytest.mark.parametrize("is_public", [True, False])
def test_mine_are_the_runs_of_the_asking_browser(store: Store, is_public: bool) -> None:
    shown = page(store, is_public)

    def found(**asked: Any) -> list[str]:
        return [row["id"] for row in json.loads(shown.find(json.dumps(asked)))["rows"]]

    assert found(mine=True, visitor=MINE) == ["mine"]
    assert found(mine=True, visitor=OTHERS) == ["others"]
    assert found(mine=True) == found(mine=True, visitor="") == [], "a browser that says nothing made none"
    assert sorted(found(visitor=MINE)) == sorted(found(mine="yes", visitor=MINE)) == ["mine", "nobodys", "others"]
    table = json.loads(shown.export({"kind": "csv", "listing": {"mine": True, "visitor": MINE}}))["content"]
    assert (table.count("mine"), table.count("others")) == (1, 0)


def test_a_page_that_is_loaded_anew_is_known_by_its_tab() -> None:
    visitors = Visitors()
    visitors.greet("old", MINE, OTHERS)
    visitors.greet("new", MINE, OTHERS)
    visitors.greet("else", MINE, "no token")
    assert visitors.key("old") == visitors.key("new") != "new"
    assert (visitors.key("else"), visitors.key("nobody")) == ("else", "nobody")
    assert OTHERS not in visitors.key("new"), "the token itself is not kept"
