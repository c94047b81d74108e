"""Weights of trained methods before any training, and a drafter of any method for a tiny target."""

from __future__ import annotations

import functools
import importlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from engine import drafters
from engine.drafters.base import Drafter
from engine.drafters.heads._weights import CONFIG_FILE, WEIGHTS_FILE
from engine.target import Target
from engine.training.heads import Heads
from engine.training.material import Material
from engine.training.recipes import RECIPES
from toys.families import sizes
from toys.networks import build


def untrained(name: str, hidden_size: int, vocab_size: int) -> Heads:
    """What a trained method's training begins with."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        target = build(transformers.LlamaConfig(**sizes(hidden_size=hidden_size, vocab_size=vocab_size)))
        material = Material("tiny", target, cast(Any, None), Path(), Path(), Path(), [])
        return cast(Heads, importlib.import_module(f"engine.training.{name}").make(material, RECIPES["heads", "cpu"]))


@functools.cache
def random_weights(name: str, hidden_size: int, vocab_size: int) -> Path:
    """A folder with a trained method's weights, untrained, as its training would write it; for any target."""
    heads = untrained(name, hidden_size, vocab_size)
    return write_weights(Path(tempfile.mkdtemp(prefix=f"{name}-")), heads.tensors(), heads.config())


def write_weights(folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Path:
    """A weights folder, as training writes it."""
    folder.mkdir(exist_ok=True)
    save_file({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    return folder


def create(name: str, target: Target, **options: object) -> Drafter:
    """A method of the registry for a tiny target; skips the test where it cannot run on one."""
    if drafters.get(name).needs.weights and isinstance(target.loaded.model, PreTrainedModel):
        size = target.loaded.model.config.get_text_config().hidden_size
        # A budget of its own, since on a tiny target no number of nodes need pay.
        weights = str(random_weights(name, size, len(target.loaded.tokenizer)))
        options = {"weights": weights, "budget": 12, **options}
        return drafters.create(name, options, target)
    reason = drafters.get(name).unavailable(target)
    if reason is not None and not drafters.get(name).needs.draft_model:
        pytest.skip(reason)
    return drafters.create(name, options, target)
