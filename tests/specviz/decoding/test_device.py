"""What every view has chosen before its visitor does: methods that can run here."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from scripted import ScriptedDevice, ScriptedRecorder

from specviz.bench import Benchmarks, Shelf
from specviz.decoding.device import Method, first_method, problems, runnable, told_of
from specviz.decoding.local import LocalDevice
from specviz.decoding.request import parse
from specviz.decoding.session import Sessions
from specviz.pages.asking import catalog
from specviz.pages.bench import BenchView
from specviz.pages.compare import first_settings
from specviz.pages.playground import Playground, default_settings
from specviz.showing.channel import Streams
from specviz.store import open_store

NAMES = ("plain", "aded", "draft_model", "mlp_speculator", "prompt_lookup", "token_recycling")


@dataclass
class Catalog(ScriptedDevice):
    """Methods of well-known names."""

    names: tuple[str, ...] = NAMES

    def methods(self) -> tuple[Method, ...]:
        return tuple(Method(name, name.title(), "", "", "exact", ()) for name in self.names)


def playground(device: ScriptedDevice) -> str:
    return str(json.loads(default_settings(device))["method"])


def compare(device: ScriptedDevice) -> list[str]:
    return [lane["method"] for lane in json.loads(first_settings(device))["lanes"]]


def controls(device: ScriptedDevice) -> dict[str, Any]:
    """Of the Benchmark view, by id."""

    async def build() -> Any:
        with open_store(":memory:") as store, gr.Blocks():
            benchmarks = Benchmarks(Sessions(device, store), store, Shelf(Path("nowhere")))
            return BenchView(benchmarks, device, store)._controls()

    with ThreadPoolExecutor(1) as pool:
        return {control.elem_id: control for control in pool.submit(asyncio.run, build()).result()}


def bench(device: ScriptedDevice) -> list[str]:
    return list(controls(device)["bench-methods"].value)


def test_a_first_run_shows_a_tree() -> None:
    device = Catalog()
    assert playground(device) == "token_recycling"
    assert compare(device) == ["plain", "draft_model", "prompt_lookup", "aded"]
    assert bench(device) == ["draft_model", "prompt_lookup", "aded", "token_recycling"]
    assert playground(Catalog(lacking=("token_recycling",))) == "mlp_speculator"


def test_what_cannot_run_is_not_chosen() -> None:
    device = Catalog(lacking=("draft_model", "aded", "mlp_speculator", "token_recycling"))
    assert playground(device) == "prompt_lookup"
    assert compare(device) == ["plain", "prompt_lookup"]
    assert bench(device) == ["prompt_lookup"]


def test_what_cannot_run_says_why_and_on_which_model() -> None:
    device = Catalog(lacking=("aded",))
    sentence = "Cannot run on A toy: aded lacks its weights."
    assert problems(device) == {"aded": sentence}
    told = {method["name"]: method["problem"] for method in json.loads(catalog(device))["methods"]}
    assert told == dict.fromkeys(NAMES, "") | {"aded": sentence}
    titles = {name: title for title, name in controls(device)["bench-methods"].choices}
    assert (titles["aded"], titles["prompt_lookup"]) == ("Aded (cannot run here)", "Prompt_Lookup")
    assert controls(device)["bench-methods"].info == sentence


def test_where_no_favourite_can_run_another_is_chosen() -> None:
    device = Catalog(lacking=NAMES[1:-1])
    assert (playground(device), compare(device), bench(device)) == (
        "token_recycling",
        ["plain", "token_recycling"],
        ["token_recycling"],
    )
    nothing = Catalog(lacking=NAMES[1:])
    assert (playground(nothing), compare(nothing), bench(nothing)) == ("plain", ["plain"], [])


def test_the_first_run_of_the_page_works() -> None:
    """As a visitor presses Run without touching anything."""
    device = Catalog(lacking=("mlp_speculator",))
    assert parse(device, "Hi", "toy", default_settings(device), True).method == "token_recycling"
    page = Playground(Sessions(device, ScriptedRecorder()), Streams(), open_store(":memory:"))
    last = json.loads(list(page.messages("Hi", "toy", default_settings(device), False, "v"))[-1])
    assert (last["status"]["phase"], last["alert"]) == ("finished", "")


@pytest.mark.parametrize("model", ["folder", "another"])
def test_the_loaded_target_says_what_cannot_run_on_it(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a draft model; nobody knows of a model that is not loaded."""
    device = LocalDevice("folder")
    loaded = SimpleNamespace(name="folder", draft=None, weights_fingerprint="0")
    monkeypatch.setattr(device, "_target", (model, SimpleNamespace(loaded=loaded, facts=loaded)))
    names = runnable(device)
    assert ("draft_model" in names, "medusa" in names) == ((False, False) if model == "folder" else (True, True))
    assert {"plain", "prompt_lookup"} <= set(names)
    assert first_method(device) == "token_recycling"
    assert runnable(LocalDevice("folder"))[0] == "plain"


@pytest.mark.parametrize(("model", "first"), [("story", "mlp_speculator"), ("smollm2-135m", "token_recycling")])
def test_a_first_run_drafts_a_tree_by_what_was_quickest_on_the_model(model: str, first: str) -> None:
    assert first_method(LocalDevice(model)) == first


def test_many_reasons_are_not_told_in_one_breath() -> None:
    assert told_of({}) == ""
    assert told_of({"a": "No a.", "b": "No b."}) == "No a. No b."
    assert told_of({"a": "No a.", "b": "No b.", "c": "No c."}).startswith("3 of these cannot run on the first model;")
