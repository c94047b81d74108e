"""The Playground's handlers: messages of a run, buttons, the controls as they were."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from scripted import ScriptedDevice, ScriptedRecorder
from scripted_kinds import HOSTILE, hostile_device
from stored import copy_of

from specviz.decoding.request import parse
from specviz.decoding.session import Sessions
from specviz.pages import own_model
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
    assert message["alert"].startswith("The page broke; the server's log says why, under ")
    assert "ZeroDivision" not in message["alert"]


def test_run_disables_run_and_enables_stop_until_the_end() -> None:
    page = playground(ScriptedDevice())
    updates = list(page.run("Tell a story.", "toy", SETTINGS, True, "", visitor()))
    told = [[button.interactive for button in update[1:4]] for update in updates]
    assert told == [[False, False, True]] * (len(updates) - 1) + [[True, True, False]], "each says all (asking.beside)"
    assert {update[4]["prompt"] for update in updates} == {"Tell a story."}


def test_restore_gives_the_controls_back() -> None:
    asked = {"prompt": "p", "model": "toy", "settings": SETTINGS, "baseline": False}
    assert Playground.restore(asked) == ("p", "toy", SETTINGS, False)
    assert len(Playground.restore(None)) == 4


def event(**given: Any) -> Any:
    """What a form tells."""
    return SimpleNamespace(**given)


def test_a_visitors_own_model_is_loaded_chosen_and_remembered_with_its_settings() -> None:
    page = playground(ScriptedDevice(takes_own=True))
    given = {"model": "own", "dtype": "fp32", "draft": "x/y"}
    *before, last = page.load_own(SETTINGS, event(**given), visitor())
    assert all([button.interactive for button in update[1:4]] == [False, False, True] for update in before)
    model, settings = last[-2:]
    assert model.value == "own"
    assert ("A toy", "toy") in model.choices
    assert json.loads(settings) == {**json.loads(SETTINGS), "loading": given, "loaded": True}
    again = json.dumps({**json.loads(settings), "method": "plain"})
    assert [json.loads(text) for text in page.messages("Hi", "own", again, False, "v")][-1]["alert"] == ""


@pytest.mark.parametrize(
    ("takes_own", "model", "says"),
    [(True, "a/b", "Model a/b cannot be loaded."), (True, "", "Unknown model"), (False, "own", "its own models only")],
)
def test_what_cannot_be_loaded_is_a_sentence_and_changes_nothing(takes_own: bool, model: str, says: str) -> None:
    page = playground(ScriptedDevice(takes_own=takes_own))
    *told, last = page.load_own(SETTINGS, event(model=model), visitor())
    assert says in next(json.loads(row[0])["alert"] for row in reversed(told) if isinstance(row[0], str))
    assert not isinstance(last[-1], str)


def test_what_a_model_needs_is_said_at_home_alone() -> None:
    def needs(device: ScriptedDevice, model: object) -> Any:
        return json.loads(own_model.needs(device, model))

    home = ScriptedDevice(takes_own=True)
    assert needs(home, {"model": "own"}) == {"text": "Needs 1.0 GB; 2.0 GB are free.", "fits": True}
    assert needs(home, {"model": "own-huge"})["fits"] is False
    assert needs(home, {"model": "a/b"}) == {"text": "The Hub has no model a/b.", "fits": False}
    assert needs(home, "own")["text"].startswith("Unknown model")
    assert needs(ScriptedDevice(), {"model": "own"})["text"] == "This instance runs its own models only."


def test_the_prompt_is_read_as_the_model_would_read_it() -> None:
    page = playground(ScriptedDevice())
    told = json.loads(page.read("Hi", "toy", SETTINGS))
    assert (told["ids"], told["texts"], told["model"]) == ([1, 2, 3], [" upon", " a", " time"], "toy")
    assert "is not loaded yet" in json.loads(page.read("Hi", "big", SETTINGS))["alert"]
    assert "prompt is empty" in json.loads(page.read(" ", "toy", SETTINGS))["alert"]


def test_a_conversation_goes_on_from_an_answer() -> None:
    page = playground(ScriptedDevice())
    said = {"messages": [{"role": "system", "content": "Be brief."}], "thinking": "auto"}
    settings = json.dumps({**json.loads(SETTINGS), "conversation": said})
    page.store.add_copies([copy_of("a", config={**said, "stop_strings": []})])  # type: ignore[attr-defined]
    stage, prompt, after = page.go_on(settings, event(run="a"))
    assert (isinstance(stage, str), prompt) == (False, "")
    messages = json.loads(after)["conversation"]["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert [message["content"] for message in messages][1:] == ["Once upon a time", " there lived there lived"]
    assert parse(ScriptedDevice(), "Next", "toy", after, False).conversation.messages[-1][0] == "assistant"


def test_a_conversation_does_not_go_on_from_nothing() -> None:
    page = playground(ScriptedDevice())
    page.store.add_copies([copy_of("raw", config={"template": "raw"})])  # type: ignore[attr-defined]
    assert "There is no run" in json.loads(page.go_on(SETTINGS, event(run="nobody"))[0])["alert"]
    assert "read raw" in json.loads(page.go_on(SETTINGS, event(run="raw"))[0])["alert"]
