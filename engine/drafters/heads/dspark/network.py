"""DSpark's network: DFlash's backbone, and on the states of its places a head that knows the token before.

Knows states, tokens and scores; no tree, no verdict. The head's arithmetic is head.py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.drafters.heads._candidates import Tokens
from engine.drafters.heads.dflash.walks import Step, Walk, WalkedNetwork
from engine.drafters.heads.dspark.head import Head
from engine.runtime import crossings

if TYPE_CHECKING:
    from engine.drafters.heads._weights import Weights
    from engine.models import LoadedModel


class DSparkNetwork(WalkedNetwork):
    """The weights in the form in which they run for one target. Shared by sessions; read-only."""

    def __init__(self, weights: Weights, loaded: LoadedModel) -> None:
        """Raises BadInput where tensors fit neither config nor target."""
        super().__init__(weights, loaded)
        self.head = Head(weights, loaded, self.form.hidden_size, self.vocabulary)

    def walk(self, states: Tensor, *, is_asked: bool) -> MarkovWalk:
        return MarkovWalk(self, states, is_asked=is_asked and self.head.is_confident)


class MarkovWalk(Walk):
    """Scores of each place, and what the token before adds."""

    def __init__(self, network: DSparkNetwork, states: Tensor, *, is_asked: bool) -> None:
        self.network, self.is_asked = network, is_asked
        self._states = network.finished(states)
        self._scores = network.scored(self._states)
        head = network.head
        self._inner = torch.zeros(1, head.rank, device=head.device, dtype=head.dtype)
        """What goes along the block, (rows of the step before, rank)."""

    def step(self, level: int, rows: Tokens, tokens: Tokens) -> Step:
        head, states = self.network.head, self._states[level].expand(len(tokens), -1)
        before, scores = head.embedded(tokens), self._scores[level].expand(len(tokens), -1)
        if head.rank:
            added, self._inner = head.added(before, states, crossings.rows(self._inner, rows.tolist()))
            scores = scores + added
        confidence = head.confidence(before, states) if self.is_asked else None
        return Step(scores, self.network.vocabulary, confidence)

    def logits(self, step: Step) -> Tensor:
        return self.network.spread(step.scores)
