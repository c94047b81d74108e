"""What is wrong with what a visitor brings, said on the page by the real engine: a sentence, and the page goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asking import settings
from huggingface_hub.errors import RepositoryNotFoundError
from model_folders import save_model
from scripted import ScriptedRecorder

from engine.models import memory
from specviz import ASSETS
from specviz.decoding.local import LocalDevice
from specviz.decoding.session import Sessions
from specviz.pages.playground import Playground
from specviz.showing.channel import Streams
from tests.engine.models.hub import Hub

Say = Callable[..., str]
SHORT = {"max_new_tokens": 4}


@pytest.fixture
def say(model_folder: Path) -> Say:
    """The alert of a run: of a model, with a method and its options, first of the page's own."""
    device = LocalDevice(str(model_folder), takes_own=True)
    recorder: Any = ScriptedRecorder()
    page = Playground(Sessions(device, recorder), Streams(), recorder)

    def alert(model: object = model_folder, method: str = "plain", **options: Any) -> str:
        given = settings(method, SHORT, **options)
        last = [json.loads(text) for text in page.messages("Hi.", str(model), given, False, "v")][-1]
        return str(last["alert"])

    return alert


def test_a_hub_id_that_does_not_exist(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub().install(monkeypatch)
    hub.error = RepositoryNotFoundError("404", response=SimpleNamespace(headers={}, request=None))  # type: ignore[arg-type]
    assert "The Hub has no model no-such/model" in say("no-such/model")
    assert say() == ""


def test_a_model_that_is_too_large(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = save_model(tmp_path / "large")
    config = json.loads((large / "config.json").read_text())
    (large / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 200_000}))
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2 * 10**9)
    assert "2.0 GB are free; what would fit: " in say(large)
    assert say() == ""


def test_a_template_that_fails(say: Say, tmp_path: Path) -> None:
    broken = save_model(tmp_path / "broken")
    (broken / "chat_template.jinja").write_text("{{ raise_exception('<b>no</b>') }}")
    assert f"The chat template of {broken} cannot be used" in say(broken)
    assert say() == ""


def test_weights_for_another_model(say: Say) -> None:
    assert "trained for" in say(method="medusa", weights=str(ASSETS / "models" / "story-medusa"))
    assert say() == ""
