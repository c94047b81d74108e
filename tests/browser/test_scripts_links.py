"""Settings as an address, and the keys of the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.scripts_page import Loaded, Scripts

CONTROLS = ["prompt", "model", "baseline", "settings"]
FORM = {"method": "m", "options": {"m": {"depth": 5}, "other": {"width": 9}}, "sampling": {"seed": 7}}
SETTINGS = {
    "set.prompt": "Tell.",
    "set.model": "toy",
    "set.baseline": "true",
    "set.method": "m",
    "set.options.depth": "5",
    "set.sampling.seed": "7",
}
PRESSED = "() => { const before = presses; presses = {}; return Object.keys(before); }"


@pytest.fixture(autouse=True)
def bare(scripts: Scripts) -> Iterator[None]:
    """Each begins and ends at the bare address."""
    yield
    scripts.page.evaluate("() => history.replaceState(null, '', '/')")


def values(prompt: str = "Tell.", form: Any = FORM) -> dict[str, Any]:
    return {"values": [prompt, "toy", True, json.dumps(form)]}


def link(scripts: Scripts, query: str = "") -> Loaded:
    scripts.page.evaluate("(query) => history.replaceState(null, '', '/' + query)", query)
    return scripts.load("link", value=values(), CONTROLS=CONTROLS)


def noted(loaded: Loaded) -> dict[str, str]:
    found: dict[str, str] = loaded("() => { noteSettings(); return place(); }")
    return found


def test_the_controls_values_are_an_addresss_settings(scripts: Scripts) -> None:
    loaded = link(scripts)
    assert loaded("() => settingsOf(held)") == SETTINGS
    long = loaded("settingsOf", {"prompt": "x" * 6001, "settings": json.dumps(FORM)})
    assert long == {key: text for key, text in SETTINGS.items() if key[4:] in ("method",) or "." in key[4:]}


def test_the_address_follows_what_is_changed_and_is_bare_before(scripts: Scripts) -> None:
    loaded = link(scripts)
    assert noted(loaded) == {}
    loaded.set(values("Another."))
    assert noted(loaded) == {**SETTINGS, "set.prompt": "Another.", "view": "play"}
    loaded("note", {"view": "sessions"})
    assert noted(loaded) == {"view": "sessions"}, "of other views there are no settings"


def test_an_address_that_asks_for_settings_stands_until_the_server_has_said(scripts: Scripts) -> None:
    loaded = link(scripts, "?view=play&set.model=gone&set.prompt=Hi")
    assert noted(loaded) == {"view": "play", "set.model": "gone", "set.prompt": "Hi"}
    loaded.set({"values": {"prompt": "Hi"}, "notices": ["Unknown model."], "opened": ""})
    assert noted(loaded) == {**SETTINGS, "set.prompt": "Hi", "view": "play"}
    assert loaded.texts("[role=alert]") == ["Unknown model. The rest of what the link asks for is set."]


@pytest.mark.parametrize(("notices", "is_run"), [([], True), (["Unknown model."], False)])
def test_a_run_is_made_again_only_with_all_of_its_settings(scripts: Scripts, notices: Any, is_run: bool) -> None:
    loaded = link(scripts, "?view=play&again=old")
    button = "const run = make('button', '', 'Run'); run.id = 'run'; run.onclick = () => { window.ran = true; };"
    loaded(f"() => {{ window.ran = false; window.specvizRunAgain = 'old'; {button} element.appendChild(run); }}")
    loaded.set({"values": {"prompt": "Hi"}, "notices": notices, "opened": "old"})
    assert loaded("() => new Promise((resolve) => setTimeout(() => resolve(ran), NOTE_AFTER_MS + 20))") is is_run


def keys(scripts: Scripts) -> Loaded:
    loaded = scripts.load("keys", VIEWS=[["#hidden", "#none"], ["#go", "#halt"]])
    loaded(
        "() => { window.presses = {}; for (const id of ['hidden', 'go', 'halt']) { const button = makeButton('', id, "
        "() => { presses[id] = 1; }); button.id = id; element.appendChild(button); } "
        "document.querySelector('#hidden').style.display = 'none'; }"
    )
    return loaded


@pytest.mark.parametrize(
    ("key", "pressed"),
    [
        ({"key": "Enter"}, []),
        ({"key": "a", "ctrlKey": True}, []),
        ({"key": "Enter", "ctrlKey": True}, ["go"]),
        ({"key": "Enter", "metaKey": True}, ["go"]),
        ({"key": "Escape"}, ["halt"]),
    ],
)
def test_keys_press_the_buttons_of_the_open_view(scripts: Scripts, key: Any, pressed: list[str]) -> None:
    loaded = keys(scripts)
    loaded.act("#go", "keydown", **key)
    assert loaded(PRESSED) == pressed
    loaded("() => { for (const button of element.querySelectorAll('#go, #halt')) button.disabled = true; }")
    loaded.act("#go", "keydown", **key)
    assert loaded(PRESSED) == []


def test_escape_closes_the_list_of_keys_before_it_stops_anything(scripts: Scripts) -> None:
    loaded = keys(scripts)
    loaded.act("#go", "keydown", key="?")
    assert loaded("() => dialog.open") is True
    loaded.act("#go", "keydown", key="Escape")
    assert loaded(PRESSED) == [], "that is the dialog's own key"
    loaded("() => dialog.close()")
    loaded.act("#go", "keydown", key="Escape")
    assert loaded(PRESSED) == ["halt"]
