"""Chimera with loud weights, in its forms, and single steps of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from toys import VOCAB_SIZE, random_weights

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.heads._weights import Weights
from engine.drafters.heads.chimera.method import Chimera
from engine.drafters.heads.chimera.network import ChimeraShape
from engine.noise import Noise
from engine.target import Scored, Target
from engine.training import chimera as training
from engine.verify import Verdict


def loud_weights(folder: Path) -> Path:
    """Random weights in which every part matters: a fresh encoder adds nothing."""
    source = random_weights("chimera", 64, VOCAB_SIZE)
    generator = torch.Generator().manual_seed(5)
    tensors = {
        name: tensor if tensor.ndim == 1 else torch.randn(tensor.shape, generator=generator) * tensor.shape[1] ** -0.5
        for name, tensor in load_file(source / "model.safetensors").items()
    }
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text((source / "config.json").read_text())
    return folder


def network_of(weights: Weights, target: Any) -> training.Chimera:
    """The weights in their training form."""
    sizes = {name: value for name, value in weights.config.items() if name in ChimeraShape.__dataclass_fields__}
    embedding, output = target.get_input_embeddings().weight, target.get_output_embeddings().weight
    network = training.Chimera(ChimeraShape(**sizes), embedding, output)
    network.load_state_dict({name: t.float() for name, t in weights.tensors.items()}, strict=False)
    return network.requires_grad_(False)


def started(target: Target, drafter: Chimera, ids: Sequence[int]) -> Context:
    context = Context(list(ids), GenerationConfig(), Noise(1))
    target.hidden_layers = drafter.needs.hidden_layers
    context.prompt_hidden = target.prefill(ids[:-1])
    drafter.start(context)
    return context


def step(target: Target, drafter: Chimera, context: Context, path: Sequence[int], next_token: int) -> None:
    """One step in which the nodes of `path` are accepted, whatever the target thinks of them."""
    context.tree = drafter.propose(context, Room(64))
    scored = target.score(context.root_id, context.tree)
    target.commit(path)
    emitted = [*(context.tree.tokens[node] for node in path), next_token]
    context.ids += emitted
    drafter.observe(Verdict(tuple(path), next_token, "correction"), emitted, Scored(scored.logits, scored.hidden))


def make(target: Target, folder: Path, **options: object) -> Chimera:
    found = drafters.create("chimera", {"weights": str(loud_weights(folder / "w")), **options}, target)
    assert isinstance(found, Chimera)
    return found
