"""The page itself: its address, its tabs, the theme, who visits; forms, menus, an exported page, the glossary."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripts_page import Loaded, Scripts
from test_scripts_tree import REJECTED, WHOLE, trace

from specviz.pages import files, inspector, stage

ADDRESS = "?view=sessions&run=a&__theme=dark&other=1"


@pytest.fixture
def at(scripts: Scripts) -> Any:
    """A function that goes to an address before scripts are loaded."""
    yield lambda query: scripts.page.evaluate("(query) => history.replaceState(null, '', '/' + query)", query)
    scripts.page.evaluate("() => history.replaceState(null, '', '/')")


def search(loaded: Loaded) -> str:
    return str(loaded("() => location.search"))


def test_the_place_is_read_from_the_address(scripts: Scripts, at: Any) -> None:
    at("?view=race&run=a%26b&step=4&ids=x,y&group=g&method=m&task=t&term=w&evil=1")
    assert scripts.load("address")("place") == {
        "view": "race",
        "run": "a&b",
        "step": "4",
        "ids": "x,y",
        "group": "g",
        "method": "m",
        "task": "t",
        "term": "w",
    }


def test_an_address_names_the_place_and_keeps_what_is_not_ours(scripts: Scripts, at: Any) -> None:
    at(ADDRESS)
    loaded = scripts.load("address")
    told = "(wanted) => String(addressOf(wanted).search)"
    assert loaded(told, {"view": "race", "ids": ["x", "y"]}) == "?view=race&__theme=dark&other=1&ids=x%2Cy"
    assert loaded(told, {"view": "inspect", "run": "b", "step": 0}) == "?view=inspect&run=b&__theme=dark&other=1&step=0"
    assert loaded(told, {"view": "play", "run": "", "step": None}) == "?view=play&__theme=dark&other=1"


def test_going_adds_to_the_history_and_noting_does_not(scripts: Scripts, at: Any) -> None:
    at(ADDRESS)
    loaded = scripts.load("address")
    loaded("() => { window.gone = 0; addEventListener('sv-go', () => { gone += 1; }); window.before = history.length; }")
    loaded("note", {"view": "sessions", "run": "b"})
    assert (loaded("() => [gone, history.length - before]"), "run=b" in search(loaded)) == ([0, 0], True)
    loaded("goto", {"view": "sessions", "run": "c"})
    assert (loaded("() => [gone, history.length - before]"), "run=c" in search(loaded)) == ([1, 1], True)


def test_only_a_frame_is_told_the_place(scripts: Scripts, at: Any) -> None:
    at(ADDRESS)
    loaded = scripts.load("address")
    loaded("() => { window.heard = []; window.postMessage = (...told) => heard.push(told); }")
    loaded("note", {"view": "sessions", "run": "b"})
    assert loaded("() => heard") == []
    frame = "(wanted) => { const own = window.parent; window.parent = { postMessage: (...told) => heard.push(told) }; note(wanted); goto(wanted); window.parent = own; }"
    loaded(frame, {"view": "race", "ids": ["x"]})
    assert loaded("() => heard") == [[{"queryString": "view=race&ids=x"}, "*"]] * 2


VIEWS = {"Playground": "play", "Inspector": "inspect", "Sessions": "sessions"}
TABS = """<div id="views"><div class="tab-wrapper">%s</div></div>""" % "".join(f"<button> {name} </button>" for name in VIEWS)


def test_a_pressed_tab_leads_to_its_last_place(scripts: Scripts, at: Any) -> None:
    at("?view=inspect&run=a&step=3")
    loaded = scripts.load("dom", "address", "visitor")
    loaded("(html) => { document.body.insertAdjacentHTML('beforeend', html); }", TABS)
    arrival = f"props.views = {json.dumps(json.dumps(VIEWS))}; (() => {{ {files.script('arrival')} }})();"
    loaded("(text) => { eval(text); }", arrival)
    press = "(name) => [...document.querySelectorAll('#views button')].find((each) => each.textContent.trim() === name).click()"
    seen = []
    for name in ("Sessions", "Sessions", "Inspector", "Playground"):
        loaded(press, name)
        seen.append(search(loaded))
    assert seen == ["?view=sessions", "?view=sessions", "?view=inspect&run=a&step=3", "?view=play"]
    assert [event for event, _ in loaded.said] == ["greet"] + ["greet", "go"] * 3
    assert loaded.said[-1] == ["go", {"query": "?view=play"}]
    assert loaded.said[0][1] == {"visitor": loaded("visitorToken")}


def test_a_visitor_is_known_again_by_a_random_token(scripts: Scripts) -> None:
    first = scripts.load("visitor")("visitorToken")
    assert len(first) == 32
    assert set(first) <= set("0123456789abcdef")
    assert scripts.load("visitor")("visitorToken") == first
    scripts.clear()
    scripts.page.evaluate("() => { delete window.specvizVisitor; }")
    assert scripts.load("visitor")("visitorToken") != first


THEME = "() => [document.body.classList.contains('dark'), localStorage.getItem('specviz-theme')]"


def test_the_theme_is_kept_and_applied(scripts: Scripts) -> None:
    loaded = scripts.load("dom")
    loaded("() => { add(document.body, Object.assign(make('button', 'sv-theme'), { id: 'theme-switch' })); }")
    page = f"() => {{ ({files.script('page')})(); }}"
    loaded(page)
    assert loaded(THEME) == [False, None], "nothing is kept before a choice"
    loaded("() => document.querySelector('#theme-switch').click()")
    assert loaded(THEME) == [True, "dark"]
    loaded("() => { document.body.classList.remove('dark'); dispatchEvent(new StorageEvent('storage', { key: 'specviz-theme' })); }")
    assert loaded(THEME) == [True, "dark"], "as in another tab"
    loaded("() => { localStorage.setItem('specviz-theme', 'light'); dispatchEvent(new StorageEvent('storage', { key: 'other' })); }")
    assert loaded(THEME)[0] is True
    loaded("() => dispatchEvent(new StorageEvent('storage', { key: 'specviz-theme' }))")
    assert loaded(THEME) == [False, "light"]


def test_control_and_enter_press_run_where_it_can_be_pressed(scripts: Scripts) -> None:
    loaded = scripts.load("dom")
    loaded("() => { window.presses = 0; const run = make('button', '', 'Run'); run.id = 'run'; run.addEventListener('click', () => { presses += 1; }); element.appendChild(run); }")
    loaded(f"() => {{ ({files.script('page')})(); }}")
    count = "() => { const before = presses; presses = 0; return Math.sign(before); }"
    keys = [{"key": "Enter"}, {"key": "a", "ctrlKey": True}, {"key": "Enter", "ctrlKey": True}, {"key": "Enter", "metaKey": True}]
    seen = []
    for key in keys:
        loaded.act("button", "keydown", **key)
        seen.append(loaded(count))
    loaded("() => { element.querySelector('button').disabled = true; }")
    loaded.act("button", "keydown", key="Enter", ctrlKey=True)
    assert [*seen, loaded(count)] == [0, 0, 1, 1, 0]


# The Playground's way back.


def play(scripts: Scripts, session: str = "", phase: str = "idle", **answers: str) -> Loaded:
    return scripts.load(*stage.SCRIPTS, "wayback", value=told(0, session, phase), answers=answers)


def told(seq: int, session: str, phase: str, stream: str = "a") -> dict[str, Any]:
    status = {"phase": phase, "text": "", "meta": "", "session": session, "isPending": False}
    return {"stream": stream, "seq": seq, "snapshot": True, "reset": bool(session), "alert": "", "steps": [], "status": status}


SAVED = f"(run) => JSON.stringify({{ ...{json.dumps(told(0, 'x', 'finished', 'other'))}, status: {{ phase: 'finished', session: run, text: '', meta: '', isPending: false }} }})"


def test_the_address_follows_the_run_that_begins_here(scripts: Scripts, at: Any) -> None:
    at("?__theme=dark")
    loaded = play(scripts)
    loaded.set(told(1, "", "waiting"))
    assert search(loaded) == "?__theme=dark"
    loaded.set(told(2, "mine", "running"))
    assert loaded("place") == {"view": "play", "run": "mine"}
    loaded("note", {"view": "sessions"})
    loaded.set(told(3, "next", "running"))
    assert loaded("place") == {"view": "sessions"}, "not while another view is open"


def test_the_run_of_the_address_is_on_the_stage(scripts: Scripts, at: Any) -> None:
    at("?run=old")
    loaded = play(scripts, saved=SAVED)
    session = "() => stage.dataset.session"
    loaded("() => new Promise((resolve) => setTimeout(resolve))")
    assert (loaded.asked, loaded(session)) == ([["saved", "old"]], "old")
    loaded("goto", {"view": "play", "run": "older"})
    loaded("() => new Promise((resolve) => setTimeout(resolve))")
    assert loaded(session) == "older"
    loaded("goto", {"view": "play", "run": "older"})
    loaded("goto", {"view": "inspect", "run": "third"})
    assert len(loaded.asked) == 2, "neither again nor for another view"


def test_a_run_that_goes_on_keeps_the_stage(scripts: Scripts, at: Any) -> None:
    at("?view=play")
    loaded = play(scripts, saved=SAVED)
    for phase in ("waiting", "preparing", "running", "auditing"):
        loaded.set(told(1, "mine", phase))
        loaded("goto", {"view": "play", "run": "old"})
    assert loaded.asked == []
    loaded.set(told(2, "mine", "finished"))
    loaded("goto", {"view": "play", "run": "old"})
    assert loaded.asked == [["saved", "old"]]


# Forms.

SPEC = {"name": "depth", "label": "Depth", "type": "int", "default": 3, "low": 1, "high": 8, "unit": "tokens", "choices": [], "help": "h", "range": "r"}


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
    loaded("(spec, values) => { window.values = values; window.saves = 0; add(element, makeField(spec, values, () => { saves += 1; })); }", SPEC | spec, values or {})
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
        {"name": name, "title": name, "summary": name + "!", "guarantee": "exact", "options": [SPEC] if name == "b" else []}
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
    assert json.loads(loaded("() => props.value")) == {"method": "b", "options": {"a": {}, "b": {"depth": "5"}}, "sampling": {"seed": "7"}}
    loaded.set({"method": "a", "options": {"b": {"depth": "2"}}, "sampling": {}})
    assert loaded("() => element.querySelector('#sv-method-select').value") == "a"
    loaded.act("#sv-method-select", "change", value="b")
    assert loaded("() => element.querySelector('input[name=depth]').value") == "2"


def test_an_example_is_picked_by_its_id(scripts: Scripts) -> None:
    tasks = json.dumps([{"task": "Story", "examples": [{"id": "x", "title": "X"}, {"id": "y", "title": "Y"}]}])
    loaded = scripts.load("dom", "chips", TASKS=tasks)
    loaded.act(".sv-chip", "click", 1)
    assert (loaded.texts(".sv-chip"), loaded.said) == (["X", "Y"], [["pick", {"example": "y"}]])


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


# An exported page.

PAGE = """<div class="sv-offline-runs"></div><p class="sv-offline-prompt"></p><div id="stage"></div><section class="sv-offline-steps" tabindex="-1"></section>
<script type="application/json" id="runs">%s</script>"""


def exported(scripts: Scripts, *ids: str) -> Loaded:
    runs = []
    for n, name in enumerate(ids):
        message = told(0, name, "finished", name)
        runs.append({"title": name.upper(), "prompt": f"Tell {name}.", "message": message, "trace": trace(*[REJECTED, WHOLE | {"n": 9}][: n + 1])})
        runs[-1]["trace"]["run"] = runs[-1]["trace"]["run"] | {"id": name, "prompt": name}
    loaded = scripts.load("dom")
    loaded("(html) => { document.body.insertAdjacentHTML('beforeend', html); }", PAGE % json.dumps({"runs": runs}))
    return scripts.load("offline", *stage.SCRIPTS, "timeline", "player", *inspector.SCRIPTS, "offlineruns")


def test_a_button_opens_its_own_run_of_an_exported_page(scripts: Scripts) -> None:
    loaded = exported(scripts, "one", "two")
    found = "() => [stage.dataset.session, inspector.trace().run.id, document.querySelector('.sv-offline-prompt').textContent]"
    pressed = "() => [...document.querySelectorAll('.sv-offline-run')].map((button) => [button.textContent, button.getAttribute('aria-pressed')])"
    assert loaded(found) == ["one", "one", "Tell one."]
    loaded("() => document.querySelectorAll('.sv-offline-run')[1].click()")
    assert loaded(found) == ["two", "two", "Tell two."]
    assert loaded(pressed) == [["ONE", "false"], ["TWO", "true"]]
    loaded("goto", {"view": "inspect", "run": "two", "step": "9"})
    assert loaded("() => inspector.number()") == 9, "a pressed token leads to its step below"
    assert loaded("() => document.querySelector('.sv-offline-runs').hidden") is False


def test_one_exported_run_needs_no_buttons(scripts: Scripts) -> None:
    assert exported(scripts, "one")("() => document.querySelector('.sv-offline-runs').hidden") is True
