"""A loaded model: what it keeps, where its texts end, how much text it can attend to."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import toys
import transformers
from model_folders import load, refusal, save_model
from toys import loaded

from engine import models
from engine.target import Target


def test_a_tokenizer_of_a_larger_model_is_refused_when_it_says_so(folder: Path) -> None:
    small = save_model(folder.parent / "small", vocab_size=270)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, small / name)
    found = load(small)
    assert found.vocab_size == 270
    ids = found.tokenizer("Once upon a time there was a small fox named Tim.")["input_ids"]
    assert max(ids) >= 270
    message = refusal(lambda: found.encode("Once upon a time there was a small fox named Tim."))
    assert f"token {max(ids)}" in message
    assert "270" in message


def test_what_is_made_for_a_model_is_made_once_and_goes_with_it() -> None:
    made, model = [], loaded(None, 5, 9)
    for _ in range(2):
        assert model.keep("thing", lambda: made.append(1) or "thing") == "thing"
    assert made == [1]
    assert dataclasses.replace(model, name="other").kept == {}


@pytest.mark.parametrize(
    ("given_ids", "wanted"), [(3, {3}), ([3, 4], {3, 4}), (None, {1}), ([], set())], ids=["one", "two", "none", "empty"]
)
def test_end_tokens_come_from_the_generation_config_or_else_the_tokenizer(given_ids: object, wanted: set[int]) -> None:
    model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=given_ids))
    assert loaded(model, 5, 9, eos_id=1).eos_ids == wanted


CONTEXTS = {
    "full": (transformers.LlamaConfig(max_position_embeddings=96), 96),
    "gpt2": (transformers.GPT2Config(n_positions=96), 96),
    "mistral without window": (transformers.MistralConfig(max_position_embeddings=96, sliding_window=None), 96),
    "mistral with window": (transformers.MistralConfig(max_position_embeddings=96, sliding_window=32), 32),
    "phi3 with window": (transformers.Phi3Config(max_position_embeddings=96, sliding_window=32, pad_token_id=None), 32),
    "gemma2 mixed": (transformers.Gemma2Config(max_position_embeddings=96, sliding_window=32), 96),
    "qwen2 all sliding": (
        transformers.Qwen2Config(
            max_position_embeddings=96,
            sliding_window=32,
            use_sliding_window=True,
            max_window_layers=0,
            num_hidden_layers=2,
        ),
        32,
    ),
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_a_model_whose_every_layer_slides_is_held_to_its_window(name: str) -> None:
    config, wanted = CONTEXTS[name]
    assert models.context_length(config) == wanted


def test_the_first_token_without_a_row_is_refused() -> None:
    found = toys.loaded(toys.build(toys.FAMILIES["llama"]()), toys.VOCAB_SIZE + 1, 64)
    last, beyond = found.tokenizer.decode([toys.VOCAB_SIZE - 1]), found.tokenizer.decode([toys.VOCAB_SIZE])
    assert found.encode(last) == [toys.VOCAB_SIZE - 1]
    assert f"gives token {toys.VOCAB_SIZE}" in refusal(lambda: found.encode(beyond))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ""),
        ({"temperature": 1.0, "top_p": 1.0, "repetition_penalty": 1.0, "do_sample": True}, ""),
        (
            {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.05},
            "The config of it asks for temperature 0.7, top-k 20, top-p 0.8, repetition penalty 1.05; "
            "a run takes what you set, and not that.",
        ),
    ],
)
def test_sampling_that_a_config_asks_for_is_told_and_not_taken(
    given: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qwen2.5's: who decodes it greedily and compares with its makers' figures is to know."""
    found = dataclasses.replace(toys.tiny("llama"), name="it")
    monkeypatch.setattr(found.model, "generation_config", transformers.GenerationConfig(**given))
    assert found.advice == said
    assert Target(found).caveat == said
