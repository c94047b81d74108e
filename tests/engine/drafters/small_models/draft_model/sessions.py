"""Sessions with a draft model, the shapes and rules they may have, and what the draft model is like untouched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from toys import build, prompt_ids
from transformers import LlamaConfig

from engine import drafters, models
from engine.config import GenerationConfig
from engine.drafters.small_models.draft_model import DraftModel
from engine.events import SessionFinished, Stepped
from engine.loop import generate
from engine.target import Target
from engine.tree import DraftTree

PROMPT = prompt_ids(9)


def build_config(found: models.LoadedModel) -> dict[str, Any]:
    return {key: value for key, value in found.model.config.to_dict().items() if key != "dtype"}


def make(target: Target, **options: object) -> DraftModel:
    drafter = drafters.create("draft_model", options, target)
    assert isinstance(drafter, DraftModel)
    return drafter


def watched(target: Target, drafter: DraftModel, config: GenerationConfig) -> Iterator[Stepped]:
    for event in generate(target, drafter, PROMPT, config):
        if isinstance(event, SessionFinished):
            assert event.reason == "length", event.message
        if isinstance(event, Stepped):
            yield event


def tree_of(step: Stepped) -> DraftTree:
    return DraftTree(tuple(n.token_id for n in step.nodes), tuple(n.parent for n in step.nodes))


SHAPES: dict[str, dict[str, object]] = {
    "chain": {"depth": 5},
    "adaptive chain": {"depth": 6, "min_confidence": 0.15},
    "tree": {"depth": 4, "width": 3, "nodes": 12},
}
RULES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "node_sampling": {"temperature": 0.8},
    "rejection": {"temperature": 0.8, "rule": "rejection"},
}


def stock_of(found: models.LoadedModel) -> Any:
    """An untouched model with the weights that the disturbed one was built with."""
    model = build(LlamaConfig(**build_config(found)), seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            generator = torch.Generator().manual_seed(len(name))
            parameter.add_(0.08 * parameter.std() * torch.randn(parameter.shape, generator=generator))
    return model
