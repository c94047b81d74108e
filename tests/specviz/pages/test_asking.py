"""What both ask a visitor with: examples by id, controls from the option specs."""

from __future__ import annotations

import json
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

from scripted import ScriptedDevice

from specviz.explaining.examples import examples
from specviz.pages.asking import beside, catalog, pick
from specviz.pages.playground import default_settings


def test_an_example_is_picked_by_its_id() -> None:
    example = examples()[0]
    assert pick(SimpleNamespace(example=example.id)) == example.prompt  # type: ignore[arg-type]
    assert not isinstance(pick(SimpleNamespace(example="../etc")), str)  # type: ignore[arg-type]


def test_what_stands_beside_messages_stands_beside_each_and_their_result_is_kept() -> None:
    """Gradio sends differences, and its page applies one to what it was sent before, shown or not."""
    closed = []

    def messages() -> Generator[str, None, int]:
        try:
            yield from "ab"
        finally:
            closed.append(True)
        return 7

    def kept() -> Generator[tuple[Any, ...], None, None]:
        results.append((yield from beside(messages(), ("busy",))))

    results: list[int] = []
    assert [update[1:] for update in kept()] == [("busy",)] * 3
    assert (results, closed) == ([7], [True])
    left = beside(messages(), ("busy",))
    next(left), next(left), left.close()
    assert closed == [True, True]


def test_controls_are_made_from_the_option_specs() -> None:
    made = json.loads(catalog(ScriptedDevice()))
    scripted = next(method for method in made["methods"] if method["name"] == "scripted")
    depth, model = scripted["options"]
    assert (depth["low"], depth["high"], depth["unit"], depth["default"]) == (1, 8, "tokens", 3)
    assert model["choices"] == ["auto", "toy-draft"]
    assert [field["name"] for field in made["sampling"]][:2] == ["max_new_tokens", "temperature"]
    assert json.loads(default_settings(ScriptedDevice()))["method"] == "scripted"
