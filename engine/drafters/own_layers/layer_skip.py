"""LayerSkip: the target drafts with its first layers and verifies with the rest (arXiv 2404.16710).

A token leaves behind layer `exit_layer`, through final norm and output layer, and so drafts the next. The first
layers' keys, values and states of root and draft are the ones that verification needs: it goes on from there, so that
a step runs the first layers once for each token and the others once for all. The last token of a draft is read
through the first layers too before it is handed on. Made for models that were trained to exit early; of others early
layers guess badly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.drafters.base import Context
from engine.drafters.growing import Growing, confidence_option, depth_option
from engine.drafters.own_layers._chains import OwnLayers
from engine.errors import BadInput
from engine.options import option
from engine.tree import Begun, DraftTree

if TYPE_CHECKING:
    from engine.target import Target


@dataclass(frozen=True)
class LayerSkipOptions:
    """Where to leave, how far to draft."""

    exit_layer: int = option(0, "Layers of the target that draft; 0 a third of them.", low=0, high=1_000, unit="layers")
    depth: int = depth_option(4)
    min_confidence: float = confidence_option(0.3)


class LayerSkip(OwnLayers):
    """Early exit, and verification by the remaining layers."""

    name = "layer_skip"
    title = "LayerSkip"
    summary = "The target's first layers draft; its others verify, going on from what the first have read."
    source = "arXiv 2404.16710"
    Options = LayerSkipOptions
    options: LayerSkipOptions

    def __init__(self, options: LayerSkipOptions, target: Target) -> None:
        super().__init__(options, target)
        num_layers = self.runner.num_layers
        self.exit_layer = options.exit_layer or max(1, num_layers // 3)
        if self.exit_layer >= num_layers:
            raise BadInput(
                f"Option exit_layer is {options.exit_layer}; {target.facts.name} has {num_layers} layers, and an exit "
                f"lies behind 1 to {num_layers - 1} of them."
            )

    def start(self, context: Context) -> None:
        super().start(context)
        self._states: list[Tensor] = []

    def _read(self, token: int, node: int) -> Tensor:
        if node < 0:
            self._states = []
        rows = self.runner.extend([token], [node], layers=range(self.exit_layer))
        assert rows.states is not None
        self._states.append(rows.states)
        return self.runner.scores(rows.states).float()

    def _left(self, growing: Growing) -> DraftTree:
        last = len(growing) - 1
        rows = self.runner.extend([growing.tokens[last]], [last], layers=range(self.exit_layer))
        assert rows.states is not None
        return growing.tree().begun_at(Begun(self.exit_layer, torch.cat([*self._states, rows.states])))


DRAFTER = LayerSkip
