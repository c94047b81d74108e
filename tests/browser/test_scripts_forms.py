"""Controls made from the engine's options, example prompts, and the marks that explain."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.browser.scripts_page import Loaded, Scripts

SPEC = {
    "name": "depth",
    "label": "Depth",
    "type": "int",
    "default": 3,
    "low": 1,
    "high": 8,
    "unit": "tokens",
    "choices": [],
    "help": "h",
    "range": "r",
}


@pytest.mark.parametrize(
    ("spec", "slides"),
    [
        ({}, True),
        ({"high": 257}, True),
        ({"high": 258}, False),
        ({"low": None}, False),
        ({"high": None}, False),
        ({"type": "float", "low": 0, "high": 10}, True),
        ({"type": "float", "low": 0, "high": 11}, False),
    ],
)
def test_a_short_range_gets_a_slider(scripts: Scripts, spec: dict[str, Any], slides: bool) -> None:
    assert scripts.load("dom", "address", "tooltip", "fields")("isSlider", SPEC | spec) is slides


def field(scripts: Scripts, spec: dict[str, Any], values: dict[str, Any] | None = None) -> Loaded:
    loaded = scripts.load("dom", "address", "tooltip", "fields")
    loaded(
        (
            "(spec, values) => { window.values = values; window.saves = 0; add(element, makeField(spec, "
            "values, () => { saves += 1; })); }"
        ),
        SPEC | spec,
        values or {},
    )
    return loaded


def test_a_number_and_its_slider_go_together(scripts: Scripts) -> None:
    loaded = field(scripts, {})
    shown = "() => [...element.querySelectorAll('input')].map((input) => input.value)"
    assert loaded(shown) == ["3", "3"]
    loaded.act("input", "input", 0, value="5")
    assert (loaded(shown), loaded("() => [values, saves]")) == (["5", "5"], [{"depth": "5"}, 1])
    loaded.act("input", "input", 1, value="7")
    assert (loaded(shown), loaded("() => values")) == (["7", "7"], {"depth": "7"})
    assert loaded.attributes("input[type=range]", "step") == ["1"]
    seen = []
    for value in ("0", "1", "8", "9", "x", " "):
        loaded.act("input", "input", 1, value=value)
        seen.append(loaded.attributes(".sv-number", "aria-invalid")[0])
    assert seen == ["true", "false", "false", "true", "true", "true"]
    assert field(scripts, {}, {"depth": 6})(shown) == ["6", "6"], "what was chosen, not the default"
    assert field(scripts, {"type": "float"}).attributes("input[type=range]", "step") == ["0.05"]


def test_menus_boxes_and_texts(scripts: Scripts) -> None:
    menu = field(scripts, {"choices": ["a_b", "c"], "default": "c", "type": "str"})
    assert (menu.texts("option"), menu("() => element.querySelector('select').value")) == (["a b", "c"], "c")
    menu.act("select", "change", value="a_b")
    assert menu("() => values") == {"depth": "a_b"}
    box = field(scripts, {"type": "bool", "default": True})
    assert box("() => element.querySelector('input').checked") is True
    box.act("input", "change", checked=False)
    assert box("() => values") == {"depth": False}
    text = field(scripts, {"type": "str", "default": "t", "unit": ""})
    text.act("input", "input", value="u")
    assert (text("() => values"), text.texts(".sv-unit")) == ({"depth": "u"}, [])
    assert field(scripts, {}).texts(".sv-unit") == ["tokens"]
    assert field(scripts, {"label": "Tokens"}).texts(".sv-unit") == [], "not said twice"


def test_each_method_has_its_options_and_they_are_told(scripts: Scripts) -> None:
    methods = [
        {
            "name": name,
            "title": name,
            "summary": name + "!",
            "guarantee": "exact",
            "options": [SPEC] if name == "b" else [],
        }
        for name in ("a", "b")
    ]
    catalog = json.dumps({"methods": methods, "sampling": [SPEC | {"name": "seed", "label": "Seed"}]})
    first = json.dumps({"method": "a", "options": {}, "sampling": {}})
    loaded = scripts.load("dom", "address", "tooltip", "fields", "settings", CATALOG=catalog, FIRST=first)
    assert loaded.texts(".sv-group > summary") == ["Sampling"]
    loaded.act("#sv-method-select", "change", value="b")
    assert loaded.texts(".sv-group > summary") == ["Method options", "Sampling"]
    assert loaded.texts(".sv-method-about") == ["b! exact"]
    loaded.act("input[name=depth]", "input", value="5")
    loaded.act("input[name=seed]", "input", value="7")
    assert json.loads(loaded("() => props.value")) == {
        "method": "b",
        "options": {"a": {}, "b": {"depth": "5"}},
        "sampling": {"seed": "7"},
    }
    loaded.set({"method": "a", "options": {"b": {"depth": "2"}}, "sampling": {}})
    assert loaded("() => element.querySelector('#sv-method-select').value") == "a"
    loaded.act("#sv-method-select", "change", value="b")
    assert loaded("() => element.querySelector('input[name=depth]').value") == "2"


def test_another_method_in_a_lane_begins_with_its_own_options(scripts: Scripts) -> None:
    methods = [
        {"name": name, "title": name, "options": [] if name == "plain" else [SPEC]} for name in ("plain", "a", "b")
    ]
    first = json.dumps({"lanes": [{"method": "plain", "options": {}}, {"method": "a", "options": {"depth": "5"}}]})
    catalog = json.dumps({"methods": methods, "sampling": []})
    loaded = scripts.load("contenders", CATALOG=catalog, FIRST=first)
    assert loaded("() => element.querySelector('input[name=depth]').value") == "5"
    loaded.act(".sv-lane-row select.sv-input", "change", value="b")
    assert json.loads(loaded("() => props.value"))["lanes"] == [
        {"method": "plain", "options": {}},
        {"method": "b", "options": {}},
    ]


def test_a_method_that_cannot_run_here_says_why(scripts: Scripts) -> None:
    known = [("plain", ""), ("a", ""), ("b", "Cannot run on A toy: it lacks its weights.")]
    methods = [{"name": name, "title": name, "summary": "", "guarantee": "exact", "options": [], "problem": problem}
               for name, problem in known]  # fmt: skip
    catalog = json.dumps({"methods": methods, "sampling": []})
    for name, first, menu in (
        ("settings", {"method": "a"}, "#sv-method-select"),
        ("contenders", {"lanes": [{"method": "plain"}, {"method": "a"}]}, ".sv-lane-row select.sv-input"),
    ):
        loaded = scripts.load(name, CATALOG=catalog, FIRST=json.dumps(first))
        assert loaded.texts(f"{menu} option")[-2:] == ["a", "b (cannot run here)"]
        assert loaded.texts(".sv-method-problem") == []
        loaded.act(menu, "change", value="b")
        assert loaded.texts(".sv-method-problem") == ["Cannot run on A toy: it lacks its weights."]
        scripts.clear()


def test_an_example_is_picked_by_its_id(scripts: Scripts) -> None:
    tasks = [{"task": "Story", "examples": [{"id": "x", "title": "X"}, {"id": "y", "title": "Y"}]}]
    loaded = scripts.load("dom", "chips", MENUS=json.dumps({"story": tasks}), FIRST="story")
    loaded.act(".sv-chip", "click", 1)
    assert (loaded.texts(".sv-chip"), loaded.said) == (["X", "Y"], [["pick", {"example": "y"}]])


def test_examples_follow_the_kind_of_model(scripts: Scripts) -> None:
    menus = {name: [{"task": name, "examples": [{"id": name, "title": name.upper()}]}] for name in ("story", "general")}
    loaded = scripts.load("dom", "chips", MENUS=json.dumps(menus), FIRST="story")
    assert loaded.texts(".sv-chip") == ["STORY"]
    loaded.set("general")
    assert (loaded.texts(".sv-chip"), loaded.texts(".sv-chip-task")) == (["GENERAL"], ["general"])


def test_a_mark_explains_its_terms_and_leads_to_the_glossary(scripts: Scripts) -> None:
    loaded = scripts.load("dom", "address", "tooltip", "glossary")
    loaded("() => add(element, explain('Speed', ['speedup', 'block-efficiency']))")
    assert loaded.texts(".sv-tip-words") == loaded("() => [GLOSSARY.speedup, GLOSSARY['block-efficiency']]")
    assert loaded.texts(".sv-tip-link") == ["Glossary: speedup", "Glossary: block efficiency"]
    assert loaded.attributes(".sv-tip-mark", "aria-label") == ["What is Speed?"]
    is_open = "() => element.querySelector('.sv-tip-text').matches(':popover-open')"
    loaded.act(".sv-tip-mark", "click")
    assert loaded(is_open) is True
    loaded.act(".sv-tip-mark", "keydown", key="Escape")
    assert loaded(is_open) is False
    loaded.act(".sv-tip-link", "click", 1)
    assert loaded("place") == {"view": "learn", "term": "block-efficiency"}
    loaded("note", {})


CONVERSATION = ("dom", "tooltip", "fields", "conversation")


def test_messages_are_a_system_prompt_and_turns_and_back(scripts: Scripts) -> None:
    loaded = scripts.load(*CONVERSATION)
    said = [{"role": role, "content": role} for role in ("system", "user", "assistant", "user", "assistant")]
    assert loaded("splitMessages", said) == {"system": "system", "turns": [["user", "assistant"]] * 2}
    assert loaded("joinMessages", "system", [["user", "assistant"]] * 2) == said
    assert loaded("splitMessages", said[1:2]) == {"system": "", "turns": [["user", ""]]}
    assert loaded("joinMessages", " ", []) == []


@pytest.mark.parametrize(
    ("text", "stops"),
    [("", []), ("END\n\n", ["END"]), ("\\n\\n\nA\\tB", ["\n\n", "A\tB"]), ("\\\\n", ["\\n"])],
)
def test_stop_texts_are_lines_with_signs_for_what_no_line_holds(scripts: Scripts, text: str, stops: list[str]) -> None:
    loaded = scripts.load(*CONVERSATION)
    assert loaded("stopsOf", text) == stops
    assert loaded("stopsOf", loaded("stopsText", stops)) == stops


def test_folds_say_what_is_set_in_them(scripts: Scripts) -> None:
    loaded = scripts.load(*CONVERSATION)
    said = [{"role": "system", "content": "x"}, {"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}]
    assert loaded("conversationAbout", {"messages": said, "thinking": "off"}) == (
        "system prompt, 1 earlier turn, thinking off"
    )
    assert loaded("conversationAbout", {"template": "raw"}) == "no template"
    assert loaded("conversationAbout", {"template": "chat", "thinking": "auto"}) == ""
    stopping = {
        "stop": ["a", "b"],
        "sampling": {"timeout_s": "3", "rule": "node_sampling", "after_fault": "plain"},
    }
    assert loaded("stoppingAbout", stopping) == "2 stop texts, 3 s, node sampling, plain after a fault"
    assert loaded("stoppingAbout", {"sampling": {"timeout_s": 0, "rule": "auto"}}) == ""


def test_a_fallback_brings_its_options_and_takes_them_away(scripts: Scripts) -> None:
    fallback = SPEC | {"name": "fallback", "type": "str", "kind": "method", "default": "none"}
    fallback |= {"choices": ["none", "b", "c"], "problems": {"c": "Cannot run on A toy."}, "low": None, "high": None}
    methods = [
        {"name": name, "title": name.upper(), "summary": "", "guarantee": "exact", "options": specs}
        for name, specs in (("a", [fallback]), ("b", [SPEC, fallback]), ("c", []))
    ]
    catalog = json.dumps({"methods": methods, "sampling": []})
    first = json.dumps({"method": "a", "options": {"a": {"fallback": "b", "fallback.depth": "5"}}, "sampling": {}})
    loaded = scripts.load("dom", "address", "tooltip", "fields", "settings", CATALOG=catalog, FIRST=first)
    assert loaded("() => element.querySelector('[name=\"fallback.depth\"]').value") == "5"
    assert loaded("() => [...element.querySelectorAll('[name=fallback] option')].map((o) => o.disabled)") == [
        False,
        False,
        True,
    ]
    assert loaded.texts("[name=fallback] option")[2] == "c (cannot run here)"
    loaded.act("[name=fallback]", "change", value="none")
    assert loaded("() => element.querySelectorAll('[name=\"fallback.depth\"]').length") == 0
    assert json.loads(loaded("() => props.value"))["options"] == {"a": {"fallback": "none"}}
    methods[1]["problem"] = "Cannot run on another."
    detail = {"catalog": {"methods": methods, "sampling": []}}
    loaded("(detail) => window.dispatchEvent(new CustomEvent('sv-catalog', { detail }))", detail)
    assert loaded.texts("#sv-method-select option")[1] == "B (cannot run here)"


def test_the_last_models_are_remembered_once_each_and_at_most_six(scripts: Scripts) -> None:
    loaded = scripts.load(*CONVERSATION, "ownmodel")
    for name in "abcdefga":
        loaded("rememberModel", {"model": name, "dtype": "fp32"})
    names = "() => recentModels().map((one) => one.model)"
    assert loaded(names) == ["a", "g", "f", "e", "d", "c"]
    loaded("forgetModel", "g")
    assert loaded(names) == ["a", "f", "e", "d", "c"]
    loaded("() => localStorage.setItem('specviz-models', '{\"model\": 3}')")
    assert loaded(names) == []


@pytest.mark.parametrize(
    ("form", "first"), [("settings", {"method": "a"}), ("contenders", {"lanes": [{"method": "a", "options": {}}]})]
)
def test_both_forms_load_a_model_of_ones_own_and_remember_it(
    scripts: Scripts, form: str, first: dict[str, Any]
) -> None:
    method = {"name": "a", "title": "a", "summary": "", "guarantee": "exact", "options": []}
    dtype = SPEC | {"name": "dtype", "label": "Dtype", "type": "str", "default": "auto", "choices": ["auto", "fp32"]}
    catalog = json.dumps({"methods": [method], "sampling": [], "loading": [dtype]})
    answers = {"needs": """async () => '{"text": "Needs 1 GB.", "fits": false}'"""}
    loaded = scripts.load(form, CATALOG=catalog, FIRST=json.dumps(first), answers=answers)
    loaded.act("input[name=own_model]", "input", value=" x/y ")
    loaded.act("select[name=dtype]", "change", value="fp32")
    loaded.act(".is-own .sv-button", "click")
    given = {"model": "x/y", "dtype": "fp32"}
    assert loaded.said == [["load_own", given]]
    loaded.set({**first, "loading": given, "loaded": True})
    assert loaded.texts(".sv-recent .sv-open") == ["x/y"]
    assert json.loads(loaded("() => { save(); return props.value; }"))["loading"] == given
    assert "loaded" not in loaded("() => props.value")
