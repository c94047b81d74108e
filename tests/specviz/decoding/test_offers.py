"""What a page offers for what a visitor may set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from scripted import ScriptedDevice

from engine.errors import BadInput, UnknownName
from engine.options import OptionSpec
from specviz.decoding import offers, request
from specviz.decoding.device import Method
from specviz.decoding.local import LocalDevice

DEPTH = OptionSpec("depth", 4, "How deep.", low=1, high=8)
FALLBACK = OptionSpec("fallback", "none", "Another method.", kind="method", words=("none",))
NAMING = {
    "model": OptionSpec("model", "auto", "Draft model.", kind="model", words=("auto",)),
    "weights": OptionSpec("weights", "auto", "Folder.", kind="weights", words=("auto",)),
    "file": OptionSpec("corpus", "none", "File.", kind="file", words=("none", "auto")),
}
MARKER = OptionSpec("marker", "", "Text of the prompt.", kind="text")


@dataclass
class Offering(ScriptedDevice):
    """A method with a fallback, and one to fall back to."""

    def methods(self) -> tuple[Method, ...]:
        given: dict[str, tuple[OptionSpec, ...]] = {"plain": (), "copy": (FALLBACK,), "draft": (DEPTH, FALLBACK)}
        return tuple(Method(name, name, name, "tests", "exact", specs) for name, specs in given.items())


def test_a_fallback_is_a_method_wherever_the_page_is() -> None:
    for device in (Offering(), Offering(takes_own=True)):
        assert offers.page_spec(device, FALLBACK).choices == ("none", "copy", "draft")


@pytest.mark.parametrize(
    ("kind", "choices"),
    [("model", ("auto", "toy-draft")), ("weights", ("auto", "/weights")), ("file", ("none", "auto"))],
)
def test_what_names_a_model_folder_or_file_is_a_menu_unless_the_page_is_at_home(kind: str, choices: Any) -> None:
    spec = NAMING[kind]
    assert offers.page_spec(ScriptedDevice(), spec).choices == choices
    assert offers.page_spec(ScriptedDevice(takes_own=True), spec) == spec
    with pytest.raises(BadInput, match="choose one of"):
        offers.page_spec(ScriptedDevice(), spec).parse("/etc/passwd")


def test_words_are_free_text_everywhere() -> None:
    assert offers.page_spec(ScriptedDevice(), MARKER).parse("Text:") == "Text:"


def test_options_of_a_fallback_are_checked_as_its_own() -> None:
    device = Offering()
    copy = device.methods()[1]

    def checked(**given: Any) -> Any:
        return request.method_options(device, copy, {name.replace("_", "."): v for name, v in given.items()})

    assert checked(fallback="draft", fallback_depth="6") == {"fallback": "draft", "fallback.depth": 6}
    for given, says in (
        ({"fallback": "models/draft"}, "choose one of: none, copy, draft"),
        ({"fallback": "draft", "fallback_depth": 9}, "wanted a whole number from 1 to 8"),
        ({"fallback_depth": 6}, "option of copy 'fallback.depth'"),
    ):
        with pytest.raises(BadInput, match=says):
            checked(**given)


def test_nothing_goes_from_one_visitors_session_into_anothers() -> None:
    aded, copying = (next(m for m in LocalDevice().methods() if m.name == name) for name in ("aded", "prompt_lookup"))
    warm = {"warm": True}
    with pytest.raises(UnknownName, match="option of aded 'warm'"):
        request.method_options(ScriptedDevice(), aded, warm)
    with pytest.raises(UnknownName, match=r"fallback\.warm"):
        request.method_options(Falling(), copying, {"fallback": "aded", "fallback.warm": True})
    assert request.method_options(ScriptedDevice(takes_own=True), aded, warm) == warm
    assert "warm" not in {spec.name for spec in offers.own_specs(ScriptedDevice(), aded)}


class Falling(ScriptedDevice):
    """Has the engine's own methods."""

    def methods(self) -> tuple[Method, ...]:
        return LocalDevice().methods()
