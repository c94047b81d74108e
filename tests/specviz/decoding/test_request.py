"""What a visitor asks for, checked: every value may come from anybody."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from asking import asked, run_all, settings
from racing import contenders
from scripted import ScriptedDevice, ScriptedRecorder

from engine.errors import BadInput, UnknownName
from specviz.decoding import request
from specviz.decoding.device import AS_STARTED, Request
from specviz.decoding.session import Sessions
from specviz.showing.notices import Happening, Opened


def drafting(device: ScriptedDevice, has_baseline: Any = False, **sampling: Any) -> Request:
    """A request of two tokens' depth."""
    return asked(device, baseline=has_baseline, sampling=sampling, depth=2)


TURN = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]


def around(**given: Any) -> str:
    """Settings of plain decoding in a conversation."""
    return json.dumps({"method": "plain", "conversation": given})


def stopping(stops: Any) -> str:
    """Settings of plain decoding that ends at texts."""
    return json.dumps({"method": "plain", "stop": stops})


def turn(device: ScriptedDevice, recorder: ScriptedRecorder, has_baseline: bool = True) -> list[Happening]:
    return run_all(Sessions(device, recorder), drafting(device, has_baseline))


def test_plain_decoding_always_runs() -> None:
    lanes = contenders(ScriptedDevice())
    assert [lane.method for lane in lanes] == ["plain", "scripted", "scripted", "scripted"]
    assert not any(lane.measures_baseline for lane in lanes)


@pytest.mark.parametrize(
    ("lanes", "says"),
    [
        ([], "a race has 2 to 8"),
        ([{"method": "plain"}], "This race has 1 lanes"),
        ([{"method": "scripted", "options": {"depth": d}} for d in range(1, 9)], "This race has 9 lanes"),
        ([{"method": "scripted"}] * 9, "9 lanes are too many"),
        ([{"method": "scripted"}] * 2, "there twice with the same options"),
        ([{"method": "scripted"}, {"method": "scripted", "options": {"depth": 3}}], "there twice"),
        ([{"method": "sorcery"}], "there are: plain, scripted"),
        ([{"method": "scripted", "options": {"depth": 9}}], "from 1 to 8 tokens"),
        ([{"method": "scripted", "options": [1]}], "cannot be read"),
        (["scripted"], "The lane cannot be read"),
        ("scripted", "The lanes cannot be read"),
        (None, "The lanes cannot be read"),
    ],
)
def test_a_race_that_cannot_be_run_gets_a_sentence(lanes: Any, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        request.parse_race(ScriptedDevice(), "Hi", "toy", json.dumps({"lanes": lanes}))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("prompt", "model", "given", "says"),
    [
        ("", "toy", settings(), "prompt is empty"),
        (" \n\t ", "toy", settings(), "prompt is empty"),
        (None, "toy", settings(), "prompt is empty"),
        ("x" * 20_001, "toy", settings(), "20,001 characters"),
        ("Hi", "/etc", settings(), "there are: big, toy"),
        ("Hi", None, settings(), "Unknown model"),
        ("Hi", "toy", settings("sorcery"), "there are: plain, scripted"),
        ("Hi", "toy", settings(breadth=2), "there are: depth, model"),
        ("Hi", "toy", settings(depth=9), "from 1 to 8 tokens"),
        ("Hi", "toy", settings(depth=[1]), "no single short value"),
        ("Hi", "toy", settings(model="/etc/passwd"), "choose one of: auto, toy-draft"),
        ("Hi", "toy", settings(sampling={"max_new_tokens": 0}), "from 1 to 2000"),
        ("Hi", "toy", settings(sampling={"max_new_tokens": -3}), "from 1 to 2000"),
        ("Hi", "toy", settings(sampling={"max_new_tokens": 10**9}), "from 1 to 2000"),
        ("Hi", "toy", settings(sampling={"max_new_tokens": "many"}), "whole number"),
        ("Hi", "toy", settings(sampling={"temperature": -0.1}), "from 0 to 10"),
        ("Hi", "toy", settings(sampling={"temperature": "nan"}), "from 0 to 10"),
        ("Hi", "toy", settings(sampling={"top_p": 1.5}), "from 0 to 1"),
        ("Hi", "toy", settings(sampling={"top_p": 0}), "above 0"),
        ("Hi", "toy", settings(sampling={"rule": "coin"}), "choose one of: auto, above_threshold"),
        ("Hi", "toy", settings(sampling={"rule": "rejection"}), "needs a temperature above 0"),
        ("Hi", "toy", settings(sampling={"timeout_s": -1}), "from 0 to 86400 seconds"),
        ("Hi", "toy", settings(sampling={"has_detail": False}), "Unknown sampling setting"),
        ("Hi", "toy", around(messages=[{"role": "user", "content": "Hi"}]), "the assistant's last"),
        ("Hi", "toy", around(messages="hi"), "cannot be read; wanted a list"),
        ("Hi", "toy", around(messages=[{"role": "system", "content": " "}]), "is empty; write it or remove it"),
        ("Hi", "toy", around(messages=[{"role": "system", "content": "x" * 20_000}]), "20,002 characters"),
        ("Hi", "toy", around(messages=TURN * 33), "66 messages stand before the prompt"),
        ("Hi", "toy", around(template="raw", messages=TURN), "raw prompt is read as it is"),
        ("Hi", "toy", around(thinking="maybe"), "choose one of: auto, on, off"),
        ("Hi", "toy", around(tone="kind"), "Unknown setting of the conversation 'tone'"),
        ("Hi", "toy", json.dumps({"method": "plain", "conversation": 3}), "The conversation cannot be read"),
        ("Hi", "toy", stopping("END"), "The stop texts cannot be read"),
        ("Hi", "toy", stopping(["END", ""]), "A stop text is empty or too long"),
        ("Hi", "toy", stopping(["END"] * 17), "There are 17 stop texts"),
        (
            "Hi",
            "toy",
            json.dumps({"method": "plain", "loading": {"dtype": "fp32"}}),
            "runs its own models as they were",
        ),
        ("Hi", "toy", "{", "settings cannot be read"),
        ("Hi", "toy", "[" * 10_000, "settings cannot be read"),
        ("Hi", "toy", "[]", "settings cannot be read"),
        ("Hi", "toy", None, "settings are missing"),
        ("Hi", "toy", " " * 150_001, "settings are missing or too long"),
    ],
)
def test_input_that_cannot_be_used_gets_a_sentence(prompt: Any, model: Any, given: Any, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        request.parse(ScriptedDevice(), prompt, model, given, True)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400


def test_unknown_names_are_cut_in_messages() -> None:
    with pytest.raises(UnknownName) as caught:
        request.parse(ScriptedDevice(), "Hi", "x" * 10_000, settings(), True)
    assert len(str(caught.value)) < 200


def test_lone_surrogates_of_a_prompt_become_visible() -> None:
    assert asked(ScriptedDevice(), "a \ud800 b").prompt == "a \\ud800 b"


def test_a_run_is_parsed_as_it_was_asked_for() -> None:
    device = ScriptedDevice()
    wanted = drafting(device, True, temperature=0.5, top_k=3, top_p=0.9, repetition_penalty=1.2, seed=4)
    found = wanted.config
    assert (found.temperature, found.top_k, found.top_p, found.repetition_penalty, found.seed) == (0.5, 3, 0.9, 1.2, 4)
    assert (found.max_new_tokens, wanted.options, wanted.model) == (12, {"depth": 2}, "toy")
    assert wanted.measures_baseline
    assert not replace(wanted, method="plain").measures_baseline
    assert not drafting(device, False).measures_baseline
    for not_quite in (1, "true", None):
        assert not drafting(device, not_quite).has_baseline  # type: ignore[arg-type]


@pytest.mark.parametrize(("num_chars", "is_fit"), [(20_000, True), (20_001, False)])
def test_a_prompt_has_at_most_20000_characters(num_chars: int, is_fit: bool) -> None:
    settings = json.dumps({"method": "plain"})
    if is_fit:
        assert len(request.parse(ScriptedDevice(), "x" * num_chars, "toy", settings, True).prompt) == num_chars
    else:
        with pytest.raises(BadInput, match="at most 20,000"):
            request.parse(ScriptedDevice(), "x" * num_chars, "toy", settings, True)


def test_settings_of_other_methods_are_left_alone() -> None:
    """A page keeps the options of all methods; only the chosen one's count."""
    settings = {"method": "scripted", "options": {"scripted": {"depth": 5}, "plain": {"depth": 1}}, "sampling": {}}
    found = request.parse(ScriptedDevice(), "Hi", "toy", json.dumps(settings), True)
    assert found.options == {"depth": 5}
    assert [
        happening.role for happening in turn(ScriptedDevice(), ScriptedRecorder()) if isinstance(happening, Opened)
    ] == [
        "baseline",
        "method",
    ]


def test_what_stands_around_a_prompt_is_parsed_for_a_run_and_for_a_race() -> None:
    device = ScriptedDevice()
    given = {"conversation": {"thinking": "off", "messages": [{"role": "system", "content": "a \ud800"}, *TURN]}}
    given |= {"stop": ["\n\n", "END"], "sampling": {"timeout_s": "2.5", "temperature": 1, "rule": "rejection"}}
    run = request.parse(device, "Hi", "toy", json.dumps({"method": "plain", **given}), False)
    lanes = request.parse_race(device, "Hi", "toy", json.dumps({"lanes": [{"method": "scripted"}], **given}))
    read = request.parse_reading(device, "Hi", "toy", json.dumps(given))
    for asked_for in (run, *lanes, read):
        assert asked_for.conversation.messages[0] == ("system", "a \\ud800")
        assert (len(asked_for.conversation.messages), asked_for.conversation.thinking) == (3, "off")
        config = asked_for.config
        assert (config.stop_strings, config.timeout_s, config.rule) == (("\n\n", "END"), 2.5, "rejection")
    assert [lane.method for lane in lanes] == ["plain", "scripted"]


def test_at_home_any_model_may_be_named_and_how_it_is_loaded() -> None:
    home, way = ScriptedDevice(takes_own=True), {"model": "/a/folder", "dtype": "fp32", "draft": "x/y"}
    given = json.dumps({"method": "plain", "loading": way})
    found = request.parse(home, "Hi", " /a/folder ", given, False)
    assert (found.model, found.loading) == ("/a/folder", AS_STARTED), "this way is another name's"
    found = request.parse(home, "Hi", "/a/folder", given, False)
    assert (found.loading.dtype, found.loading.draft, found.loading.device) == ("fp32", "x/y", "auto")
    assert request.parse_loading(home, "a/b", {"device": "cpu"}).loading.device == "cpu"
    for model, says in (("x" * 301, "has 301 characters"), (" ", "Unknown model"), (None, "Unknown model")):
        with pytest.raises(BadInput, match=says):
            request.parse(home, "Hi", model, given, False)
    with pytest.raises(BadInput, match="choose one of: auto, bf16"):
        request.parse_loading(home, "a/b", {"dtype": "fp8"})
    with pytest.raises(BadInput, match="Unknown option of loading 'trust'"):
        request.parse_loading(home, "a/b", {"trust": "all"})


def test_on_a_public_instance_nobody_names_a_model_of_their_own() -> None:
    device = ScriptedDevice()
    with pytest.raises(UnknownName, match="there are: big, toy"):
        request.parse_loading(device, "own", {})
    with pytest.raises(BadInput, match="runs its own models"):
        request.parse_loading(device, "toy", {"draft": "x/y"})


def test_a_folder_or_file_of_a_methods_option_is_free_text_at_home_alone() -> None:
    home = ScriptedDevice(takes_own=True)
    assert asked(home, model="/my/draft").options == {"model": "/my/draft"}
    assert asked(ScriptedDevice(), model="toy-draft").options == {"model": "toy-draft"}
