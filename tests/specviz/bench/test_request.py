"""What a benchmark is asked for, checked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from benching import GIVEN, OWN, Place, TinyDevice, until_it_ends
from scripted import ScriptedDevice

from engine import suites
from engine.errors import BadInput, UnknownName
from specviz.bench import Asked
from specviz.bench.request import _check_size, parse


def test_a_request_survives_its_file() -> None:
    asked = parse(TinyDevice(), *GIVEN)
    assert Asked.from_dict(json.loads(json.dumps(asked.to_dict()))) == asked
    assert len(asked.plan().questions) == 2
    assert asked.plan().contenders == ["plain", "prompt_lookup"]


@pytest.mark.parametrize(
    ("place_of", "value", "says"),
    [
        (0, "nonsense", "Unknown model"),
        (1, [], "nothing to ask"),
        (1, ["/etc/passwd.jsonl"], "Unknown suite"),
        (1, [["story"]], "Unknown suite"),
        (2, 0, "from 1 to 100"),
        (2, "many", "from 1 to 100"),
        (3, "\n".join("x" * 51), "at most 50"),
        (3, "x" * 20_001, "20,001 characters"),
        (4, [], "nothing to measure"),
        (4, ["plain"], "nothing to measure"),
        (4, ["magic"], "Unknown method"),
        (6, 21, "from 1 to 20"),
        (7, 0, "max_new_tokens"),
        (7, 5_000, "at most 2,000"),
        (8, -1, "temperature"),
        (5, "magic: depth=2", "Unknown method"),
        (5, "prompt_lookup: width=2", "Unknown option of prompt_lookup"),
        (5, "prompt_lookup: depth=many", "depth"),
        (5, "prompt_lookup: depth=999", "depth"),
        (5, "prompt_lookup", "wanted each once"),
        (5, "prompt_lookup: depth", "wanted each once"),
        (5, "prompt_lookup: depth=2, depth=3", "wanted each once"),
        (5, "prompt_lookup: depth=2\nprompt_lookup: depth=3", "two lines"),
        (5, "plain: depth=2", "Unknown option of plain"),
        (5, "prompt_lookup: depth=2\n" * 41, "at most 40"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(place_of: int, value: object, says: str) -> None:
    given = [*GIVEN]
    given[place_of] = value
    with pytest.raises(BadInput, match=says):
        parse(TinyDevice(), *given)


def test_options_of_a_method_are_measured_kept_and_named(place: Place) -> None:
    asked = parse(TinyDevice(), *GIVEN[:5], "  prompt_lookup : depth = 2 \n\n", *GIVEN[6:])
    assert asked.options == {"prompt_lookup": {"depth": 2}}
    assert asked.title.endswith("prompt_lookup (depth=2)")
    assert asked.plan().methods == {"prompt_lookup": {"depth": 2}}
    assert Asked.from_dict(json.loads(json.dumps(asked.to_dict()))) == asked
    benchmarks = place.benchmarks()
    benchmarks.start(replace(OWN, options=asked.options))
    assert until_it_ends(benchmarks).phase == "finished"
    assert place.store.flush()
    chosen = {run.method: run.method_options.get("depth") for run in place.store.list_runs(100)}
    assert chosen == {"plain": None, "prompt_lookup": 2}


def test_a_visitors_own_model_is_measured_at_home_alone(place: Place) -> None:
    given = ("own/model", *GIVEN[1:])
    assert parse(TinyDevice(takes_own=True), *given).model == "own/model"
    with pytest.raises(UnknownName, match="Unknown model 'own/model'"):
        parse(TinyDevice(), *given)
    with pytest.raises(UnknownName, match="Unknown model 'own/model'"):
        place.benchmarks().start(replace(OWN, model="own/model"))


def test_a_request_of_before_there_were_options_is_read() -> None:
    values = OWN.to_dict()
    del values["options"]
    assert Asked.from_dict(values) == OWN


def test_options_of_a_method_that_is_not_chosen_are_refused() -> None:
    device = TinyDevice()
    asked = parse(device, *GIVEN)
    with pytest.raises(BadInput, match="choose it or remove its line"):
        _check_size(replace(asked, options={"draft_model": {"depth": 2}}))


def test_too_many_runs_are_refused_with_their_number() -> None:
    given = ("toy", suites.own_names("story"), 24, "", ["prompt_lookup"], "", 20, 8, 0)
    with pytest.raises(BadInput, match=r"6,720 runs.*at most 5,000"):
        parse(TinyDevice(), *given)


def test_own_prompts_are_one_per_line() -> None:
    asked = parse(TinyDevice(), "toy", [], 1, " one \n\n two \ud800\n", ["prompt_lookup"], "", 1, 8, 0)
    assert asked.own_prompts == ("one", "two \\ud800")


def own(text: str) -> Asked:
    return parse(TinyDevice(), "toy", [], 1, text, ["prompt_lookup"], "", 1, 8, 0)


def test_prompts_of_several_lines_stand_between_rules() -> None:
    assert own("a\n\nb\r\n ---\nc\n---\n\n").own_prompts == ("a\n\nb", "c")
    assert own("a --- b").own_prompts == ("a --- b",)


def test_prompts_may_be_json_lines_with_turns() -> None:
    asked = own('\ufeff{"turns": ["a\\nb", "c"]}\n\n{"prompt": "d"}')
    assert asked.own_prompts == (("a\nb", "c"), ("d",))
    assert [question.turns for question in asked.plan().questions] == [("a\nb", "c"), ("d",)]
    assert Asked.from_dict(json.loads(json.dumps(asked.to_dict()))) == asked


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "Your prompts, line 3: wanted a JSON object"),
        ('{"turns": ["a", 1]}', "Your prompts, line 3: wanted one text or more"),
        ('{"turns": []}', "Your prompts, line 3: wanted one text or more"),
        ('{"turns": ["' + "a" * 20_001 + '"]}', "One prompt has 20,001 characters"),
    ],
)
def test_a_broken_line_is_named(line: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        own('{"prompt": "a"}\n\n' + line)


@pytest.mark.parametrize(
    ("place", "value", "is_fit"),
    [
        *((2, 1, True), (2, 100, True), (2, 101, False), (6, 20, True), (6, 0, False)),
        *((7, 1, True), (7, 2_000, True), (7, 2_001, False)),
        *((3, "\n".join(map(str, range(50))), True), (3, "x" * 20_000, True)),
    ],
)
def test_what_may_be_asked_has_limits_to_the_last_one(place: int, value: object, is_fit: bool) -> None:
    given: list[Any] = ["toy", ["story"], 2, "", ["scripted"], "", 1, 8, 0.5]
    given[place] = value
    if is_fit:
        asked = parse(ScriptedDevice(), *given)
        assert (asked.temperature, asked.methods, asked.suites) == (0.5, ("scripted",), ("story",))
    else:
        with pytest.raises(BadInput):
            parse(ScriptedDevice(), *given)


def test_what_is_asked_is_what_is_measured() -> None:
    given = (
        "toy",
        ["story", "story"],
        3,
        "one\ntwo",
        ["scripted", "plain", "scripted"],
        "scripted: depth=5",
        2,
        9,
        0.25,
    )
    asked = parse(ScriptedDevice(), *given)
    assert (asked.suites, asked.methods, asked.num_prompts, asked.num_repeats) == (("story",), ("scripted",), 3, 2)
    plan = asked.plan()
    assert (len(plan.questions), len(plan.rounds), plan.contenders) == (5, 10, ["plain", "scripted"])
    assert (plan.config.max_new_tokens, plan.config.temperature, plan.config.has_detail) == (9, 0.25, False)
    assert plan.methods == {"scripted": {"depth": 5}}
    assert asked.title == "story, own prompts: scripted (depth=5)"
