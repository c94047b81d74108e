"""The Playground's handlers: messages of a run, buttons, the controls as they were."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from scripted import HOSTILE, ScriptedDevice, ScriptedRecorder, hostile_device

from specviz.decoding.session import Sessions
from specviz.pages.playground import Playground
from specviz.showing.channel import Streams
from specviz.store import open_store

SETTINGS = json.dumps({"method": "scripted", "options": {}, "sampling": {"max_new_tokens": 9}})


def playground(device: ScriptedDevice, recorder: Any = None) -> Playground:
    return Playground(Sessions(device, recorder or ScriptedRecorder()), Streams(), open_store(":memory:"))


def visitor(name: str = "v") -> Any:
    return SimpleNamespace(session_hash=name)


def play(page: Playground, prompt: object = "Tell a story.", settings: object = SETTINGS) -> list[dict[str, Any]]:
    return [json.loads(text) for text in page.messages(prompt, "toy", settings, True, "v")]


def test_a_run_ends_with_a_snapshot_of_everything() -> None:
    last = play(playground(ScriptedDevice()))[-1]
    assert last["snapshot"] is True
    assert last["status"]["phase"] == "finished"
    assert [token["t"] for step in last["steps"] for token in step["k"]][:3] == ["Once", " upon", " a"]
    assert {tile["key"]: tile["value"] for tile in last["tiles"]}["audit"] == "identical"
    assert "identical" in last["spoken"]


def test_the_same_again_is_the_same_text() -> None:
    page = playground(ScriptedDevice())
    first, second = play(page)[-1], play(page)[-1]
    assert first["steps"] == second["steps"]


def test_bad_input_is_one_alert_and_nothing_else() -> None:
    (message,) = play(playground(ScriptedDevice()), prompt="")
    assert "prompt is empty" in message["alert"]
    assert set(message) == {"alert", "nonce"}


def test_a_fault_keeps_what_was_decoded() -> None:
    last = play(playground(ScriptedDevice(broken_at=2)), settings=SETTINGS)[-1]
    assert last["status"]["phase"] == "failed"
    assert len(last["steps"]) == 2
    assert "broke" in last["alert"]


def test_hostile_words_arrive_as_words() -> None:
    last = play(playground(hostile_device()), prompt=HOSTILE[0])[-1]
    shown = {token["t"] for step in last["steps"] for token in step["k"]}
    assert shown == {word.replace("\ud800", "\\ud800") for word in HOSTILE}


def test_a_bug_is_a_sentence_too() -> None:
    device = ScriptedDevice()
    device.methods = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    (message,) = play(playground(device))
    assert message["alert"].startswith("The page broke: ZeroDivisionError.")


def test_run_disables_run_and_enables_stop_until_the_end() -> None:
    page = playground(ScriptedDevice())
    updates = list(page.run("Tell a story.", "toy", SETTINGS, True, visitor()))
    assert [button.interactive for button in updates[0][1:4]] == [False, False, True]
    assert [button.interactive for button in updates[-1][1:4]] == [True, True, False]
    assert updates[0][4]["prompt"] == "Tell a story."


def test_restore_gives_the_controls_back() -> None:
    asked = {"prompt": "p", "model": "toy", "settings": SETTINGS, "baseline": False}
    assert Playground.restore(asked) == ("p", "toy", SETTINGS, False)
    assert len(Playground.restore(None)) == 4
