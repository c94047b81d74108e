"""Draft models near to the target and equal to it."""

from __future__ import annotations

import pytest
from toys import MAX_CONTEXT, VOCAB_SIZE, build, loaded, tiny
from transformers import LlamaConfig

from engine import models
from tests.engine.drafters.small_models.draft_model.sessions import build_config, stock_of


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> models.LoadedModel:
    """A draft model that agrees with the target now and then: the target's weights, disturbed."""
    near = loaded(stock_of(tiny("llama")), VOCAB_SIZE, MAX_CONTEXT, name="near")
    monkeypatch.setattr(models, "load_draft", lambda name, target: near)
    return near


@pytest.fixture
def twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A draft model with the target's own weights, in an object of its own."""
    other = loaded(build(LlamaConfig(**build_config(tiny("llama")))), VOCAB_SIZE, MAX_CONTEXT, name="twin")
    monkeypatch.setattr(models, "load_draft", lambda name, target: other)
