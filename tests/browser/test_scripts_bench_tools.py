"""What stands beside the list of benchmarks: files, titles, deletion, two side by side."""

from __future__ import annotations

import json
from typing import Any

from tests.browser.scripts_page import SOON, Loaded, Scripts

EVIL = "<img src=x onerror=alert(1)>"
ENTRIES = [{"id": "a", "title": EVIL, "when": "today"}, {"id": "b", "title": "B", "when": "then"}]
MADE = """(open) => { window.opened = []; window.tools = makeBenchTools({ server, onOpen: (id) => opened.push(id) });
  add(element, tools.node, tools.beside); tools.draw(open); }"""
TOLD = {
    "head": ["Suite", "Method"],
    "rows": [["s", EVIL]],
    "notes": ["They differ in " + EVIL, "Ratio."],
    "isWarned": True,
}


def made(scripts: Scripts, told: dict[str, Any] = TOLD, answer: dict[str, Any] | None = None, **more: Any) -> Loaded:
    answers = {
        "beside": f"() => {json.dumps(json.dumps(told))!s}",
        "change": f"() => {json.dumps(json.dumps(answer or {'open': 'b'}))}",
    }
    loaded = scripts.load("benchtools", answers=answers)
    loaded(MADE, {"open": "a", "heat": {}, "mayChange": True, "entries": ENTRIES} | more)
    return loaded


def test_two_stand_side_by_side_as_text(scripts: Scripts) -> None:
    loaded = made(scripts)
    assert loaded.texts("#bench-other option") == ["nothing", "B · then"]
    loaded.act("#bench-other", "change", value="b")
    loaded(SOON)
    assert loaded.asked == [["beside", {"first": "b", "second": "a"}]]
    assert loaded.texts("tbody td") == ["s", EVIL]
    assert loaded.texts(".sv-bench-warning") == ["They differ in " + EVIL]
    assert loaded.texts("img") == []


def test_one_is_deleted_on_the_second_press(scripts: Scripts) -> None:
    loaded = made(scripts)
    loaded.act(".sv-bench-tools > button", "click", 1)
    assert loaded.asked == []
    assert loaded.texts(".sv-bench-tools > button") == ["Rename", "Delete for good?"]
    loaded.act(".sv-bench-tools > button", "click", 1)
    loaded(SOON)
    assert loaded.asked == [["change", {"do": "delete", "id": "a", "text": None, "visitor": loaded("visitorToken")}]]
    assert loaded("() => opened") == ["b"]


def test_a_title_is_changed_in_its_place_and_a_refusal_is_said(scripts: Scripts) -> None:
    loaded = made(scripts, answer={"alert": EVIL})
    loaded.act(".sv-bench-tools > button", "click", 0)
    assert loaded("() => document.activeElement.value") == EVIL
    loaded("() => element.querySelector('form').requestSubmit()")
    loaded(SOON)
    assert loaded.asked == [["change", {"do": "rename", "id": "a", "text": EVIL, "visitor": loaded("visitorToken")}]]
    assert (loaded.texts("[role=alert]"), loaded("() => opened")) == ([EVIL], [])
    loaded.act("form", "keydown", key="Escape")
    assert loaded("() => element.querySelector('form').hidden") is True


def test_the_example_stays_as_it_is_and_a_public_list_too(scripts: Scripts) -> None:
    hidden = "() => [...element.querySelectorAll('.sv-bench-tools > button')].map((button) => button.hidden)"
    assert made(scripts, open="example")(hidden) == [True, True]
    scripts.clear()
    assert made(scripts, mayChange=False)("() => tools.node.hidden") is True


def test_a_file_of_prompts_goes_into_its_field(scripts: Scripts) -> None:
    loaded = scripts.load("promptfile")
    loaded(
        "() => { document.body.insertAdjacentHTML('beforeend', '<div id=\"bench-own\"><textarea></textarea></div>'); }"
    )
    with scripts.page.expect_file_chooser() as chosen:
        loaded.act("button", "click")
    chosen.value.set_files([{"name": "p.jsonl", "mimeType": "text/plain", "buffer": b'{"prompt": "a"}'}])
    scripts.page.wait_for_function("() => document.querySelector('#bench-own textarea').value !== ''")
    assert scripts.page.input_value("#bench-own textarea") == '{"prompt": "a"}'
