"""The page itself: its address, its tabs, the theme, who visits; forms, menus, an exported page, the glossary."""

from __future__ import annotations

import json
from typing import Any

import pytest

from specviz.pages import scripts as module
from tests.browser.given.trace import REJECTED, WHOLE, trace
from tests.browser.scripts_page import Loaded, Scripts

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


def test_a_link_to_hand_on_holds_known_keys_only(scripts: Scripts, at: Any) -> None:
    at("?view=play&__sign=secret&other=1&set.seed=4#part")
    told = "(wanted) => linkTo(wanted).replace(location.origin, '')"
    loaded = scripts.load("address")
    assert loaded(told, {"view": "race", "ids": ["x", "y"]}) == "/?view=race&ids=x%2Cy"
    assert loaded(told, {"view": "play", "set.seed": 5}) == "/?view=play&set.seed=5"


def test_a_moderators_token_is_added_behind_a_point_while_the_tab_is_open(scripts: Scripts) -> None:
    loaded = scripts.load("visitor")
    own = loaded("visitorToken")
    loaded("moderateWith", "sesame")
    assert (loaded("visitorToken"), loaded("isModerator")) == (f"{own}.sesame", True)
    loaded("moderateWith", "")
    assert (loaded("visitorToken"), loaded("isModerator")) == (own, False)


def test_the_foot_says_what_holds_and_takes_a_moderators_token(scripts: Scripts) -> None:
    plain = scripts.load("foot", value={"text": "A <b>public</b> instance.", "moderator": False})
    assert (plain.texts(".sv-foot .sv-note"), plain.texts(".sv-foot button")) == (["A <b>public</b> instance."], [])
    scripts.clear()
    loaded = scripts.load("foot", value={"text": "Public.", "moderator": True})
    loaded("() => { window.greeted = 0; addEventListener('sv-go', () => { greeted += 1; }); }")
    state = "() => [form.hidden, way.textContent, isModerator(), token.value, greeted]"
    assert loaded(state) == [True, "Moderator", False, "", 0]
    loaded.act(".sv-foot > button", "click")
    assert loaded(state)[0] is False
    loaded("() => { token.value = ' sesame '; form.requestSubmit(); }")
    assert loaded(state) == [True, "Moderate no longer", True, "", 1]
    loaded.act(".sv-foot > button", "click")
    assert loaded(state) == [True, "Moderator", False, "", 2]


def test_going_adds_to_the_history_and_noting_does_not(scripts: Scripts, at: Any) -> None:
    at(ADDRESS)
    loaded = scripts.load("address")
    loaded(
        "() => { window.gone = 0; addEventListener('sv-go', () => { gone += 1; }); window.before = history.length; }"
    )
    loaded("note", {"view": "sessions", "run": "b"})
    assert (loaded("() => [gone, history.length - before]"), "run=b" in search(loaded)) == ([0, 0], True)
    loaded("goto", {"view": "sessions", "run": "c"})
    assert (loaded("() => [gone, history.length - before]"), "run=c" in search(loaded)) == ([1, 1], True)


def test_only_a_frame_is_told_the_place(scripts: Scripts, at: Any) -> None:
    at(ADDRESS)
    loaded = scripts.load("frame")
    loaded("keepFrameTold")
    loaded("() => { window.heard = []; window.postMessage = (...told) => heard.push(told); }")
    loaded("note", {"view": "sessions", "run": "b"})
    assert loaded("() => heard") == []
    frame = (
        "(wanted) => { const own = window.parent; window.parent = { postMessage: (...told) => "
        "heard.push(told) }; note(wanted); goto(wanted); window.parent = own; }"
    )
    loaded(frame, {"view": "race", "ids": ["x"]})
    assert loaded("() => heard") == [[{"queryString": "view=race&ids=x", "hash": ""}, "*"]] * 2
    loaded(frame, {"view": "play", "set.prompt": "a secret"})
    assert loaded("() => heard.slice(2)") == [[{"queryString": "view=play", "hash": ""}, "*"]] * 2
    hub = "{ value: 'https://huggingface.co/spaces/a/b', configurable: true }"
    loaded(f"() => Object.defineProperty(document, 'referrer', {hub})")
    loaded(frame, {"view": "play", "set.prompt": "a secret"})
    whole = {"queryString": "view=play&set.prompt=a+secret", "hash": ""}
    assert loaded("() => heard.slice(4)") == [[whole, "https://huggingface.co"]] * 2
    loaded("() => { delete document.referrer; }")


VIEWS = {"Playground": "play", "Inspector": "inspect", "Sessions": "sessions"}
TABS = """<div id="views"><div class="tab-wrapper">{}</div></div>""".format(
    "".join(f"<button> {name} </button>" for name in VIEWS)
)


def test_a_pressed_tab_leads_to_its_last_place(scripts: Scripts, at: Any) -> None:
    at("?view=inspect&run=a&step=3")
    loaded = scripts.load("dom")
    loaded("(html) => { document.body.insertAdjacentHTML('beforeend', html); }", TABS)
    loaded = scripts.load("arrival", props={"views": json.dumps(VIEWS)})
    press = (
        "(name) => [...document.querySelectorAll('#views button')].find((each) => "
        "each.textContent.trim() === name).click()"
    )
    seen = []
    for name in ("Sessions", "Sessions", "Inspector", "Playground"):
        loaded(press, name)
        seen.append(search(loaded))
    assert seen == ["?view=sessions", "?view=sessions", "?view=inspect&run=a&step=3", "?view=play"]
    assert [event for event, _ in loaded.said] == ["greet"] + ["greet", "go"] * 3
    assert loaded.said[-1] == ["go", {"query": "?view=play"}]
    assert loaded.said[0][1] == loaded("whoIs") == {"visitor": loaded("visitorToken"), "tab": loaded("tabToken")}


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
    page = f"() => {{ ({module.text('page')})(); }}"
    loaded(page)
    assert loaded(THEME) == [False, None], "nothing is kept before a choice"
    loaded("() => document.querySelector('#theme-switch').click()")
    assert loaded(THEME) == [True, "dark"]
    loaded(
        "() => { document.body.classList.remove('dark'); dispatchEvent(new StorageEvent('storage', { "
        "key: 'specviz-theme' })); }"
    )
    assert loaded(THEME) == [True, "dark"], "as in another tab"
    loaded(
        "() => { localStorage.setItem('specviz-theme', 'light'); dispatchEvent(new "
        "StorageEvent('storage', { key: 'other' })); }"
    )
    assert loaded(THEME)[0] is True
    loaded("() => dispatchEvent(new StorageEvent('storage', { key: 'specviz-theme' }))")
    assert loaded(THEME) == [False, "light"]


# The Playground's way back.


def play(scripts: Scripts, session: str = "", phase: str = "idle", **answers: str) -> Loaded:
    return scripts.load("wayback", value=told(0, session, phase), answers=answers)


def told(seq: int, session: str, phase: str, stream: str = "a") -> dict[str, Any]:
    status = {"phase": phase, "text": "", "meta": "", "session": session, "isPending": False}
    return {
        "stream": stream,
        "seq": seq,
        "snapshot": True,
        "reset": bool(session),
        "alert": "",
        "steps": [],
        "status": status,
    }


SAVED = f"""(run) => {{
  const message = {json.dumps(told(0, "x", "finished", "other"))};
  message.status.session = run;
  return JSON.stringify(message);
}}"""


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
    assert loaded.said == [["join", loaded("whoIs") | {"run": "old"}]], "the server knows whether a run goes on here"
    loaded("goto", {"view": "play", "run": "older"})
    loaded("() => new Promise((resolve) => setTimeout(resolve))")
    assert (loaded.asked, loaded(session)) == ([["saved", "older"]], "older")
    loaded("goto", {"view": "play", "run": "older"})
    loaded("goto", {"view": "inspect", "run": "third"})
    assert len(loaded.asked) == 1, "neither again nor for another view"


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


# An exported page.

PAGE = """<div class="sv-offline-runs"></div><p class="sv-offline-prompt"></p><div id="stage"></div>
<section class="sv-offline-steps" tabindex="-1"></section>
<script type="application/json" id="runs">%s</script>"""


def exported(scripts: Scripts, *ids: str) -> Loaded:
    runs = []
    for n, name in enumerate(ids):
        message = told(0, name, "finished", name)
        runs.append(
            {
                "title": name.upper(),
                "prompt": f"Tell {name}.",
                "message": message,
                "trace": trace(*[REJECTED, WHOLE | {"n": 9}][: n + 1]),
            }
        )
        runs[-1]["trace"]["run"] = runs[-1]["trace"]["run"] | {"id": name, "prompt": name}
    loaded = scripts.load("dom")
    loaded("(html) => { document.body.insertAdjacentHTML('beforeend', html); }", PAGE % json.dumps({"runs": runs}))
    return scripts.load("offline")


def test_a_button_opens_its_own_run_of_an_exported_page(scripts: Scripts) -> None:
    loaded = exported(scripts, "one", "two")
    found = (
        "() => [document.querySelector('.sv-stage').dataset.session, inspector.trace().run.id, "
        "document.querySelector('.sv-offline-prompt').textContent]"
    )
    pressed = (
        "() => [...document.querySelectorAll('.sv-offline-run')].map((button) => "
        "[button.textContent, button.getAttribute('aria-pressed')])"
    )
    assert loaded(found) == ["one", "one", "Tell one."]
    loaded("() => document.querySelectorAll('.sv-offline-run')[1].click()")
    assert loaded(found) == ["two", "two", "Tell two."]
    assert loaded(pressed) == [["ONE", "false"], ["TWO", "true"]]
    loaded("goto", {"view": "inspect", "run": "two", "step": "9"})
    assert loaded("() => inspector.number()") == 9, "a pressed token leads to its step below"
    assert loaded("() => document.querySelector('.sv-offline-runs').hidden") is False


def test_one_exported_run_needs_no_buttons(scripts: Scripts) -> None:
    assert exported(scripts, "one")("() => document.querySelector('.sv-offline-runs').hidden") is True
