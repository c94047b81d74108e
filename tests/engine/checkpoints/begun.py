"""A session of a drafter that reads a target's states, as far as its start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.config import GenerationConfig
from engine.drafters.base import Context, Drafter
from engine.noise import Noise
from engine.target import Target


def begun(target: Target, drafter: Drafter, ids: Sequence[int], seed: int = 1, **settings: Any) -> Context:
    """Whose text is these tokens."""
    target.hidden_layers = drafter.needs.hidden_layers
    context = Context(list(ids), GenerationConfig(max_new_tokens=40, **settings), Noise(seed))
    context.prompt_hidden = target.prefill(ids[:-1])
    drafter.start(context)
    return context
