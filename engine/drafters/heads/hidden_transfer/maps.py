"""Hidden Transfer's trained maps: a target's hidden state to pseudo states of the places behind it.

Knows states and steps; no rows, no tokens.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.drafters.heads._weights import Weights
from engine.errors import BadInput
from engine.runtime.linear import pack

if TYPE_CHECKING:
    from engine.models import LoadedModel


class Maps:
    """The maps in the target's dtype: a `runtime.extra.Transfer`."""

    def __init__(self, layers: tuple[int, ...], weights: Sequence[Tensor], biases: Sequence[Tensor]) -> None:
        """Of each step its layer, its weight (h, h) and its bias (h,)."""
        self.layers, self._weights, self._biases = layers, tuple(weights), tuple(biases)
        self._joined = functools.cache(self._join)

    def states(self, steps: tuple[int, ...], owners: Tensor) -> Tensor:
        """Pseudo states (m · k, h) of k steps, owner by owner, of the owners' (m, h): one product for all steps."""
        made: Tensor = self._joined(steps)(owners)
        return made.view(len(owners) * len(steps), -1)

    def _join(self, steps: tuple[int, ...]) -> nn.Module:
        weights, biases = ([parts[step - 1] for step in steps] for parts in (self._weights, self._biases))
        return pack(torch.cat(weights), torch.cat(biases))


def read_maps(weights: Weights, loaded: LoadedModel) -> Maps:
    """The maps as a target's pass takes them. Raises BadInput where they do not fit it."""
    layers, num_steps = weights.config.get("layers"), weights.number("num_steps")
    if not isinstance(layers, list) or len(layers) != num_steps or not all(isinstance(n, int) for n in layers):
        raise BadInput(f"layers in {weights.folder} is {layers!r}; wanted {num_steps} whole numbers.")
    config = loaded.model.config.get_text_config()
    if not all(0 <= layer < config.num_hidden_layers for layer in layers):
        raise BadInput(
            f"The maps in {weights.folder} enter before layers {layers}; the target {loaded.name} has "
            f"{config.num_hidden_layers} layers, counted from 0."
        )
    width = config.hidden_size
    sizes = {"weight": (width, width), "bias": (width,)}
    found = (
        [weights.take(f"transfer.{step}.{name}", *size).to(loaded.device, loaded.dtype) for step in range(num_steps)]
        for name, size in sizes.items()
    )
    return Maps(tuple(layers), *found)
