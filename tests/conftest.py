"""What all tests share: no network, no time limits per example, small model folders made once."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"

from pathlib import Path

import pytest
import transformers
from hypothesis import HealthCheck, settings
from toys import Table, TableTarget, build, draft_for, tiny

from engine import models
from engine.target import Target
from engine.training.tokenizer import train_tokenizer

settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

TEXTS = (
    "Once upon a time there was a small fox named Tim. Tim found a red ball in the park and played all day.",
    "The cat sat on the mat and the dog sat on the cat. They learned to share the mat and were happy.",
)


def save_model(folder: Path, vocab_size: int = 280, seed: int = 0, texts: tuple[str, ...] = TEXTS) -> Path:
    """A tiny Llama model folder with a byte-level tokenizer and a chat template."""
    tokenizer = train_tokenizer(texts, vocab_size, 256)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    build(config, seed=seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target in Hugging Face layout."""
    return save_model(tmp_path_factory.mktemp("models") / "target")


@pytest.fixture(scope="session")
def draft_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A draft model with the target's tokenizer: the target's own weights, so that it is mostly right."""
    return save_model(tmp_path_factory.mktemp("models") / "draft")


@pytest.fixture
def table_target() -> TableTarget:
    """Five tokens, no end token."""
    return TableTarget(Table(5))


@pytest.fixture
def llama() -> Target:
    """A tiny Llama in float32."""
    return Target(tiny("llama"))


@pytest.fixture
def draft_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every target has a draft model: a tiny Llama of its vocabulary that knows nothing of it."""
    monkeypatch.setattr(models, "load_draft", lambda name, target: draft_for(len(target.tokenizer), target.max_context))
