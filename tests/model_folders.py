"""Model folders as a user has them, made in a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import transformers
from toys import build

from engine import models
from engine.errors import BadInput
from engine.training.tokenizer import train_tokenizer

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


def load(name: object) -> models.LoadedModel:
    """A model on the CPU in float32."""
    return models.load(str(name), "cpu", "fp32")


def refusal(call: Callable[[], object]) -> str:
    """The one-line message of the BadInput that a call raises."""
    with pytest.raises(BadInput) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "Traceback" not in message
    return message
