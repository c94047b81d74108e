"""The local machine as the device: one model at a time."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from model_folders import save_model

from engine import drafters, models
from engine.config import GenerationConfig
from engine.conversation import Conversation
from engine.errors import BadInput
from engine.events import Event, SessionStarted
from engine.loop import generate
from specviz.decoding.device import Loading, Request
from specviz.decoding.local import LocalDevice


def kept_by(device: LocalDevice, model: str, draft: Path) -> list[weakref.ref[object]]:
    """Weak references to a loaded target, its draft model and what a method made for it."""
    loaded = device.load(model).loaded
    other = models.load_draft(models.DraftSpec(str(draft)), loaded)
    made = loaded.keep("heads", lambda: {loaded})
    assert models.load_draft(models.DraftSpec(str(draft)), loaded) is other
    assert loaded in made
    return [weakref.ref(loaded), weakref.ref(loaded.model), weakref.ref(other.model)]


def test_before_a_run_target_and_method_say_what_they_cannot_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    device = LocalDevice("folder")
    drafter = SimpleNamespace(caveat="Heads of a relative.")
    monkeypatch.setattr(device, "_target", ("folder", SimpleNamespace(caveat="Near-tie possible.")))
    monkeypatch.setattr(drafters, "create", lambda name, options, target: drafter)
    request = Request("Hi", "folder", "medusa", {}, GenerationConfig())
    assert device.caveat(request) == "Near-tie possible. Heads of a relative."


def test_another_model_takes_the_place_of_the_last_one_in_memory(model_folder: Path, tmp_path: Path) -> None:
    other = save_model(tmp_path / "other", seed=1)
    device = LocalDevice(str(model_folder))
    before = kept_by(device, str(model_folder), model_folder)
    assert all(reference() is not None for reference in before)
    device.load(str(other))
    assert [reference() for reference in before] == [None, None, None]


def test_a_method_is_made_ready_once_for_each_of_its_options_and_kinds_of_decoding(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is compiled, measured or allocated at a first call is so before the run that is shown."""
    warmed: list[tuple[str, dict[str, Any], float]] = []

    def watched(target: Any, drafter: Any, prompt: str, config: GenerationConfig) -> Iterator[Event]:
        warmed.append((drafter.name, drafter.settings, config.temperature))
        return generate(target, drafter, prompt, config)

    monkeypatch.setattr("engine.warming.generate", watched)
    device = LocalDevice(str(model_folder))
    greedy = Request("Hi", str(model_folder), "prompt_lookup", {}, GenerationConfig())
    shallow = replace(greedy, options={"depth": 2})
    sampled = replace(greedy, config=GenerationConfig(temperature=0.8))
    for request in (greedy, shallow, sampled):
        assert not device.is_ready(request)
        device.prepare(request)
        device.prepare(request)
        assert device.is_ready(request)
    assert [(name, settings["depth"], temperature) for name, settings, temperature in warmed] == [
        ("prompt_lookup", 15, 0.0), ("prompt_lookup", 2, 0.0), ("prompt_lookup", 15, 0.8)
    ]  # fmt: skip
    assert device.load(str(model_folder)).kv_length == 0


def test_a_model_is_held_as_it_was_asked_for(model_folder: Path) -> None:
    device, name = LocalDevice(str(model_folder), loading=Loading(dtype="fp32", draft="its/own")), str(model_folder)
    first = device.load(name)
    assert (str(first.facts.dtype), first.facts.draft) == ("torch.float32", "its/own")
    assert device.load(name, Loading(dtype="fp32")) is first, "what it was started with"
    second = device.load(name, Loading(dtype="bf16", draft="an/other"))
    assert (str(second.facts.dtype), second.facts.draft) == ("torch.bfloat16", "an/other")
    request = Request("Hi", name, "plain", {}, GenerationConfig(), loading=Loading(dtype="fp32"))
    assert not device.is_ready(request)
    assert "its/own" in device.draft_models()
    assert (device.takes_own, LocalDevice(takes_own=True).takes_own) == (False, True)
    assert LocalDevice(weights=["/heads"]).weights_folders() == ("/heads",)


def test_a_draft_model_is_the_default_models_alone(model_folder: Path, tmp_path: Path) -> None:
    device = LocalDevice(str(model_folder), loading=Loading(dtype="fp32", draft="its/own"))
    other = device.load(str(save_model(tmp_path / "other", seed=1)))
    assert (str(other.facts.dtype), other.facts.draft) == ("torch.float32", None)


def test_a_prompt_is_read_by_the_loaded_model_alone(model_folder: Path) -> None:
    device, name = LocalDevice(str(model_folder)), str(model_folder)
    around = Conversation(messages=(("system", "Be brief."),))
    request = Request("Hi.", name, "plain", {}, GenerationConfig(), conversation=around)
    with pytest.raises(BadInput, match="is not loaded yet, and its tokenizer reads the prompt"):
        device.read(request)
    assert (device.texts(name, [1]), device.has_thinking_switch(name)) == (None, None)
    target = device.load(name)
    ids = device.read(request)
    assert "Be brief." in target.facts.decode(ids)
    texts = device.texts(name, ids)
    assert texts is not None
    assert "Be" in "".join(texts)
    assert device.has_thinking_switch(name) is False
    first = next(iter(device.generate(request, "s", lambda: False)))
    assert isinstance(first, SessionStarted)
    assert list(first.prompt_ids) == ids


@pytest.mark.parametrize(
    ("method", "options", "settings", "said"),
    [
        ("prompt_lookup", {}, {"rule": "rejection", "temperature": 1.0}, "Rule rejection needs sampled drafts"),
        ("prompt_lookup", {}, {"rule": "k_seq", "temperature": 1.0}, "siblings that are drawn independently"),
        ("stand", {}, {"rule": "block_verification", "temperature": 1.0}, "a chain of sampled drafts"),
        ("layer_skip", {"exit_layer": 30}, {}, "an exit lies behind 1 to"),
    ],
)
def test_a_run_that_method_rule_or_layers_do_not_allow_is_refused_in_a_sentence_for_the_page(
    method: str, options: dict[str, Any], settings: dict[str, Any], said: str, model_folder: Path
) -> None:
    device = LocalDevice(str(model_folder))
    request = Request("Hi", str(model_folder), method, options, GenerationConfig(**settings))
    with pytest.raises(BadInput, match=said):
        device.prepare(request)
    with pytest.raises(BadInput, match=said):
        next(iter(device.generate(request, "s", lambda: False)))


def test_what_a_model_needs_is_known_before_it_is_loaded(model_folder: Path) -> None:
    found = LocalDevice(loading=Loading(dtype="fp32")).needs(str(model_folder), Loading(device="cpu"))
    assert (found.dtype, found.device, found.fits) == ("float32", "cpu", True)
