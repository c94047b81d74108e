"""The Playground's settings as an address, and back; what an address asks in vain."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripted import ScriptedDevice
from stored import save, session

from specviz.decoding import link
from specviz.decoding.link import CONTROLS, FORM, SETTINGS, Opened
from specviz.store import Store

ASKED = {
    "set.prompt": "Tell.",
    "set.model": "toy",
    "set.baseline": "false",
    "set.method": "scripted",
    "set.options.depth": "5",
    "set.sampling.seed": "7",
}
FORM_ASKED = {"method": "scripted", "options": {"scripted": {"depth": 5}}, "sampling": {"seed": 7}}


def opened(**changed: str | None) -> Opened:
    given = {**ASKED, **{f"set.{name}": text for name, text in changed.items()}}
    query = {key: text for key, text in given.items() if text is not None}
    return link.opened(ScriptedDevice(), query, "plain")


def form(found: Opened) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(found.values[FORM])
    return read


def test_an_address_gives_each_control_its_value() -> None:
    found = opened()
    assert found.notices == ()
    assert form(found) == FORM_ASKED
    assert {name: found.values[name] for name in CONTROLS[:-1]} == {
        "prompt": "Tell.",
        "model": "toy",
        "baseline": False,
    }


def test_what_an_address_does_not_name_is_left_as_it_is() -> None:
    assert link.opened(ScriptedDevice(), {"set.prompt": "Hi", "view": "play", "step": "3"}, "plain").values == {
        "prompt": "Hi"
    }


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("model", "gone", "Unknown model 'gone'; there are: big, toy."),
        ("prompt", " ", "The prompt is empty"),
        ("baseline", "perhaps", "Option baseline is 'perhaps'; wanted true or false."),
        ("options.width", "2", "Unknown option of scripted 'width'"),
        ("options.depth", "900", "Option depth is '900'"),
        ("sampling.heat", "1", "Unknown sampling setting 'heat'"),
        ("sampling.seed", "x" * 300, "has no single short value"),
        ("colour", "red", "Unknown setting 'colour'"),
    ],
)
def test_what_is_asked_in_vain_is_told_and_the_rest_applies(name: str, text: str, says: str) -> None:
    found = opened(**{name: text})
    (notice,) = found.notices
    assert says in notice
    kept = {**FORM_ASKED, "options": {"scripted": {}}} if name == "options.depth" else FORM_ASKED
    kept = {**kept, "sampling": {}} if name == "sampling.seed" else kept
    assert form(found) == kept
    assert set(found.values) == set(CONTROLS) - {name}


def test_options_of_a_method_that_is_gone_go_with_it() -> None:
    found = opened(method="<gone>")
    assert found.notices == ("Unknown method '<gone>'; there are: plain, scripted.",)
    assert form(found) == {"method": "plain", "options": {"plain": {}}, "sampling": {"seed": 7}}


def test_a_saved_runs_settings_are_an_address(store: Store) -> None:
    save(store, session("a", prompt="Once?", method="scripted", method_options={"depth": 2}))
    query = link.of_run(store.get_run("a"))
    assert {setting.key for setting in SETTINGS} <= {key.removeprefix(link.PREFIX) for key in query}
    found = link.opened(ScriptedDevice(), query, "plain")
    assert found.values["prompt"] == "Once?"
    assert form(found)["options"] == {"scripted": {"depth": 2}}
    assert form(found)["sampling"]["seed"] == store.get_run("a").seed
