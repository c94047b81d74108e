"""Private runs are in no list but their maker's; what is not kept is nowhere; what is deleted is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asking import of_type, run_all, settings
from scripted import ScriptedDevice, ScriptedRecorder
from stored import session

from engine.errors import BadInput, UnknownName
from specviz.api import Api
from specviz.bench import speeds
from specviz.decoding.request import kept, parse, parse_race
from specviz.decoding.session import Sessions
from specviz.decoding.visitors import Visitors, hashed
from specviz.pages.compare import Compare
from specviz.pages.inspector import Inspector
from specviz.pages.saved import SavedRuns
from specviz.pages.view import VIEWER
from specviz.policy import HOME, PUBLIC
from specviz.race.course import course
from specviz.showing.channel import Streams
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.notices import AS_ASKED, Unsaved
from specviz.store import Store, open_store

MINE, OTHERS = "a" * 32, "b" * 32
SECRET = "A secret wish."
LANES = json.dumps({"lanes": [{"method": "scripted", "options": {}}], "sampling": {"max_new_tokens": 6}})


def sessions(store: Store, policy: Any = PUBLIC) -> Sessions:
    found = Sessions(ScriptedDevice(), store, Visitors(policy))
    for page, token in (("mine", MINE), ("others", OTHERS)):
        found.visitors.greet(page, token)
    return found


def decode(where: Sessions, sharing: str = "", prompt: str = SECRET) -> list[Any]:
    wanted = parse(where.device, prompt, "toy", settings(), True, sharing)
    return run_all(where, wanted, "mine")


def race(where: Sessions, sharing: str = "", prompt: str = SECRET) -> list[Any]:
    lanes = parse_race(where.device, prompt, "toy", LANES, sharing)
    return [found for batch in where.perform(course(lanes), "mine") for found in batch]


def found(store: Store, token: str) -> list[str]:
    shown = SavedRuns(store, Streams(), Visitors(PUBLIC))
    answer = json.loads(shown.find(json.dumps({"visitor": token})))
    assert answer["total"] == len(answer["rows"])
    assert answer["is_filtered"] is False
    return [row["prompt"] for row in answer["rows"]]


LISTS: dict[str, Callable[[Store, str], str]] = {
    "sessions": lambda store, token: str(found(store, token)),
    "its table": lambda store, token: json.loads(
        SavedRuns(store, Streams()).export({"kind": "csv", "listing": {"visitor": token}})
    )["content"],
    "inspector": lambda store, token: str(Inspector(store).arrive({VIEWER: hashed(token)})),
    "earlier races": lambda store, token: Compare(sessions(store), store, Streams()).asked_for_earlier(
        {"page": 0, "visitor": token}
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_private_run_is_in_its_makers_lists_alone(store: Store, name: str) -> None:
    where = sessions(store)
    decode(where)
    race(where)
    store.flush()
    assert SECRET in LISTS[name](store, MINE)
    for token in (OTHERS, "", hashed(MINE), "nonsense"):
        assert SECRET not in LISTS[name](store, token)


def test_programs_find_no_private_run_but_by_its_id(store: Store) -> None:
    where = sessions(store)
    decode(where)
    store.flush()
    api = Api(where, store)
    assert api.list_runs() == api.list_runs(search="secret") == []
    assert store.known_values() == {"method": [], "model": [], "task": [], "tag": []}
    assert store.known_values(hashed(MINE))["model"] == ["toy"]
    run, _ = store.list_runs(viewer=hashed(MINE))
    assert api.get_run(run.id)["prompt"] == SECRET
    assert speeds._of_runs("toy", store) == {}
    answer = api.generate("Public.", "scripted", 6, sharing="listed")
    assert [row["id"] for row in api.list_runs(method="scripted")] == [answer["id"]]


def test_what_a_visitor_says_goes_before_the_instances_own(store: Store) -> None:
    decode(sessions(store), "listed", "For all.")
    decode(sessions(store, HOME), "private", "For me.")
    decode(sessions(store, HOME), "", "At home.")
    store.flush()
    assert set(found(store, OTHERS)) == {"For all.", "At home."}
    assert set(found(store, MINE)) == {"For all.", "At home.", "For me."}
    rows = json.loads(SavedRuns(store, Streams()).find(json.dumps({"visitor": MINE})))["rows"]
    assert {row["prompt"] for row in rows if row["isPrivate"]} == {"For me."}


@pytest.mark.parametrize("ask", [decode, race])
def test_what_is_not_kept_is_nowhere_and_the_page_says_so(ask: Any) -> None:
    recorder = ScriptedRecorder()
    seen = ask(sessions(recorder), "unkept")  # type: ignore[arg-type]
    assert of_type(seen, Unsaved) == [Unsaved(AS_ASKED)]
    assert (recorder.runs, recorder.groups, recorder.audits, recorder.baselines) == ({}, {}, {}, {})
    if ask is decode:
        state = fold_all(ViewState(), seen)
        assert state.phase == "finished"
        assert state.audit
        assert state.alert == "This run is not saved. You asked that nothing of it is kept."


def test_no_other_way_to_keep_a_run_is_known() -> None:
    for given in ("public", None, 3, ["listed"]):
        with pytest.raises(UnknownName, match="there are: listed, private, unkept"):
            parse(ScriptedDevice(), "Hi", "toy", settings(), True, given)
    with pytest.raises(BadInput, match="listed, private, or empty"):
        kept("unkept")


def test_what_a_visitor_brings_is_private_where_runs_are(store: Store) -> None:
    with open_store(":memory:") as other:
        run = other.begin(session("brought")[0])
        for event in session("brought")[1:]:
            run.append(event)
        other.flush()
        text = json.loads(SavedRuns(other, Streams()).export({"kind": "jsonl", "ids": ["brought"]}))["content"]
    shown = SavedRuns(store, Streams(), Visitors(replace(PUBLIC, imports="small")))
    assert json.loads(shown.take_in({"text": text, "visitor": MINE}))["added"] == ["brought"]
    assert (len(found(store, MINE)), found(store, OTHERS)) == (1, [])


def test_a_deleted_races_title_is_shown_to_nobody(store: Store) -> None:
    where = sessions(store, HOME)
    race(where, prompt="To be forgotten.")
    store.flush()
    compare = Compare(where, store, Streams())
    assert "To be forgotten." in compare.earlier()
    store.trash([run.id for run in store.list_runs()])
    assert json.loads(compare.earlier())["rows"] == []


def test_what_is_deleted_for_good_is_not_in_the_file(path: Path) -> None:
    with open_store(path) as store:
        with store._database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
        decode(sessions(store, HOME), prompt="Xylophone quagmire.")
        store.flush()
        for run in store.list_runs():
            store.delete_run(run.id)
    files = [file.read_bytes() for file in path.parent.glob("runs.db*")]
    assert files
    assert not any(b"Xylophone" in text or b"quagmire" in text for text in files)
