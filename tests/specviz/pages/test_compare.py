"""The Compare page's handlers: messages of a race, buttons, addresses."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from scripted import ScriptedDevice, started
from scripted_kinds import HOSTILE

from specviz.decoding.session import Sessions
from specviz.pages.compare import Compare, first_settings
from specviz.race.earlier import NUM_ROWS
from specviz.showing.channel import Streams
from specviz.store import Store

SETTINGS = json.dumps(
    {"lanes": [{"method": "scripted", "options": {"depth": 2}}], "sampling": {"max_new_tokens": 9}},
)


def page(store: Any, recorder: Any = None, **device: Any) -> Compare:
    return Compare(Sessions(ScriptedDevice(**device), recorder or store), store, Streams())


def race(compare: Compare, settings: str = SETTINGS) -> list[dict[str, Any]]:
    return [json.loads(text) for text in compare.messages("Tell a story.", "toy", settings, "v")]


def rows(compare: Compare, number: Any = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(compare.earlier(number))
    return found


def test_a_race_ends_with_a_snapshot_of_everything(store: Store) -> None:
    messages = race(page(store))
    assert [message["seq"] for message in messages] == list(range(len(messages)))
    last = messages[-1]
    assert last["snapshot"] is True
    assert last["race"]["text"].startswith("Finished: Scripted drafts · depth 2 was fastest, 3.00 × plain")
    assert last["race"]["isSaved"] is True
    assert last["race"]["keys"] == ["plain", "lane 1"]
    assert "Scripted drafts · depth 2" in last["spoken"]


def test_its_address_opens_the_same_race(store: Store) -> None:
    compare = page(store)
    last = race(compare)[-1]
    assert store.flush()
    update, _ = compare.arrive({"view": "compare", "ids": ",".join(last["race"]["ids"])})
    again = json.loads(update)
    for name in ("rows", "lanes", "board"):
        assert again[name] == last[name]
    assert again["race"] == last["race"]


def test_an_address_without_runs_leaves_the_screen_as_it_is(store: Store) -> None:
    update, _ = page(store).arrive({"view": "compare"})
    assert not isinstance(update, str)


@pytest.mark.parametrize(
    ("ids", "says"), [("nobody", "There is no run 'nobody'"), (",,", "names no runs"), ("x" * 90, "not a list")]
)
def test_an_address_of_no_run_is_a_sentence(store: Store, ids: str, says: str) -> None:
    message = json.loads(page(store).open(ids))
    assert says in message["alert"]
    assert set(message) == {"alert", "nonce"}


def test_bad_input_is_one_alert_and_nothing_else(store: Store) -> None:
    (message,) = race(page(store), "{}")
    assert message["alert"].startswith("The lanes cannot be read")
    assert set(message) == {"alert", "nonce"}


def test_a_bug_is_a_sentence_too(store: Store) -> None:
    compare = page(store)
    compare.sessions.device.methods = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    (message,) = race(compare)
    assert message["alert"].startswith("The page broke; the server's log says why, under ")
    assert "ZeroDivision" not in message["alert"]


def test_race_disables_race_and_enables_stop_until_the_end(store: Store) -> None:
    who: Any = SimpleNamespace(session_hash="v")
    updates = list(page(store).run("Tell a story.", "toy", SETTINGS, "", who))
    told = [[button.interactive for button in update[1:3]] for update in updates]
    assert told == [[False, True]] * (len(updates) - 2) + [[True, False]] * 2, "each says all (asking.beside)"
    (row,) = json.loads(updates[-1][3])["rows"]
    assert (row["runs"], row["methods"]) == (2, "Plain decoding, Scripted drafts · depth 2")


def test_the_first_lanes_are_ones_that_exist() -> None:
    lanes = json.loads(first_settings(ScriptedDevice()))["lanes"]
    assert [lane["method"] for lane in lanes] == ["plain", "scripted"]


def test_a_page_that_missed_a_message_gets_the_whole_race(store: Store) -> None:
    compare = page(store)
    last = race(compare)[-1]
    again = json.loads(compare.streams.snapshot(last["stream"]))
    assert (again["seq"], again["lanes"], again["rows"]) == (last["seq"], last["lanes"], last["rows"])


def test_earlier_races_are_listed_newest_first_and_open_again(store: Store) -> None:
    compare = page(store)
    ends = [race(compare)[-1] for _ in range(2)]
    assert store.flush()
    store.add_group("benchmark", "Not a race")
    found = rows(compare)
    assert [row["ids"] for row in found["rows"]] == [ends[1]["race"]["ids"], ends[0]["race"]["ids"]]
    first = found["rows"][0]
    assert (first["prompt"], first["runs"], first["note"]) == ("Tell a story.", 2, "")
    assert first["methods"] == "Plain decoding, Scripted drafts · depth 2"
    assert found["hasOlder"] is False
    assert json.loads(compare.open(",".join(first["ids"])))["race"]["isSaved"] is True


def test_a_race_says_which_runs_were_deleted_and_goes_with_the_last_one(store: Store) -> None:
    compare = page(store)
    ids = race(compare)[-1]["race"]["ids"]
    assert store.flush()
    store.trash(ids[:1])
    (row,) = rows(compare)["rows"]
    assert (row["runs"], row["ids"], row["note"]) == (1, ids, "1 of its runs is not here: deleted, or never run.")
    store.trash(ids)
    assert rows(compare)["rows"] == []


def test_earlier_races_come_in_pages(store: Store) -> None:
    for place in range(NUM_ROWS + 2):
        group_id = store.add_group("comparison", f"Race {place}")
        store.begin(started(session_id=f"run {place}"), group_id=group_id)
    assert store.flush()
    compare = page(store)
    first, second = rows(compare), rows(compare, 1)
    assert [len(found["rows"]) for found in (first, second, rows(compare, 2))] == [NUM_ROWS, 2, 0]
    assert (first["hasOlder"], second["hasOlder"]) == (True, False)
    assert first["rows"][0]["prompt"] == f"Race {NUM_ROWS + 1}"


@pytest.mark.parametrize("number", [-1, 10**9, "0", None, 1.5, True, [0]])
def test_a_page_that_cannot_be_is_a_sentence(store: Store, number: Any) -> None:
    assert rows(page(store), number) == {"alert": "That page of the list does not exist."}


def test_a_group_of_hostile_words_stays_words(store: Store) -> None:
    lanes = [{"method": text, "options": {}, "run_id": text} for text in HOSTILE]
    group_id = store.add_group("comparison", HOSTILE[0], {"lanes": lanes})
    store.begin(started(session_id="r", prompt=HOSTILE[0]), group_id=group_id)
    assert store.flush()
    text = page(store).earlier()
    assert "<" not in text
    assert text.isascii()
    assert json.loads(text)["rows"][0]["runs"] == 1


def load_own(compare: Compare, **given: Any) -> list[tuple[Any, ...]]:
    return list(compare.load_own(SETTINGS, SimpleNamespace(**given), SimpleNamespace(session_hash="v")))  # type: ignore[arg-type]


def test_a_visitors_own_model_is_loaded_and_races(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    compare, is_told, load = page(store, takes_own=True), threading.Event(), ScriptedDevice.load
    monkeypatch.setattr(ScriptedDevice, "load", lambda *given: is_told.wait(60) and load(*given))
    messages, last = [], ()
    who = SimpleNamespace(session_hash="v")
    for last in compare.load_own(SETTINGS, SimpleNamespace(model="own", dtype="fp32"), who):  # type: ignore[arg-type]
        messages += [json.loads(last[0])] if isinstance(last[0], str) else []
        if messages and messages[-1].get("race", {}).get("text") == "Loading own …":
            is_told.set()
    assert is_told.is_set()
    assert messages[-1]["race"]["text"].startswith("Ready.")
    assert (last[1].interactive, last[2].interactive, last[3].value) == (True, False, "own")
    assert json.loads(last[4]) == {**json.loads(SETTINGS), "loading": {"model": "own", "dtype": "fp32"}, "loaded": True}
    raced = [json.loads(text) for text in compare.messages("Hi", "own", last[4], "v")][-1]
    assert (raced["alert"], len(raced["race"]["ids"])) == ("", 2)


@pytest.mark.parametrize(
    ("takes_own", "model", "says"),
    [(True, "a/b", "Model a/b cannot be loaded."), (False, "own", "its own models only")],
)
def test_what_cannot_be_loaded_is_a_sentence(store: Store, takes_own: bool, model: str, says: str) -> None:
    *told, last = load_own(page(store, takes_own=takes_own), model=model)
    assert any(says in row[0] for row in told if isinstance(row[0], str))
    assert not isinstance(last[-1], str)
