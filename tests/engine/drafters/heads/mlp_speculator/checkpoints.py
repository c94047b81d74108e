"""Small checkpoints of every kind that the authors publish."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from toys import VOCAB_SIZE

from engine.drafters.heads._weights import find_weights
from engine.drafters.heads.mlp_speculator.network import Speculator
from engine.target import Target

WIDTH, INNER, NUM_HEADS = 64, 24, 3


def checkpoint(folder: Path, *, is_tied: bool, is_scaled: bool, seed: int = 0, **more: Any) -> Path:
    """A small folder as the authors publish theirs."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) / 3

    tensors = {}
    for i in range(1 if is_tied else NUM_HEADS):
        tensors[f"speculator.emb.{i}.weight"] = random(VOCAB_SIZE, INNER)
        tensors[f"speculator.head.{i}.weight"] = random(VOCAB_SIZE, INNER)
        tensors[f"speculator.ln.{i}.weight"] = 1 + random(INNER)
        tensors[f"speculator.ln.{i}.bias"] = random(INNER)
    for i in range(2 if is_tied else NUM_HEADS):
        tensors[f"speculator.proj.{i}.weight"] = random(INNER, INNER if i else WIDTH)
    config = {
        "architectures": ["MLPSpeculatorPreTrainedModel"],
        "model_type": "mlp_speculator",
        "vocab_size": VOCAB_SIZE,
        "emb_dim": WIDTH,
        "inner_dim": INNER,
        "n_predict": NUM_HEADS,
        "top_k_tokens_per_head": [4, 3, 2],
        "n_candidates": 5,
    }
    # Both are absent in the first published configs, and false there.
    config |= {"tie_weights": True} if is_tied else {}
    config |= {"scale_input": True} if is_scaled else {}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**config, **more}))
    return folder


KINDS = [(False, False), (True, True), (False, True), (True, False)]
every_kind = pytest.mark.parametrize(("is_tied", "is_scaled"), KINDS, ids=["plain", "tied-scaled", "scaled", "tied"])


def loaded(target: Target, folder: Path) -> Speculator:
    return Speculator(find_weights(target, "mlp_speculator", str(folder)), target.loaded)
