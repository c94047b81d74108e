"""Block drafters whose places know the token before: chains and trees by laws that hang on it.

A block's pass gives states; a head that is small beside it gives each place's law behind every token that may stand
before, so a node's children are its own. A chain is walked token by token, and the likeliest tree level by level, a
step of the head for each. A head may be sure of itself or not behind a token (its confidence): where it is less sure
than `least`, nothing is drafted there. That is settled before any token of the place is chosen or drawn, by the block
and the tokens before it alone; to look at the token itself would spoil its law (DSpark, arXiv 2607.05147, Appendix A).
Knows steps of a head, noise and settings; no architecture.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.drafters.growing import Growing
from engine.drafters.heads import _trees
from engine.drafters.heads._candidates import Candidates, LogProbs, Tokens, likeliest
from engine.drafters.heads._levels import best_nodes, grow
from engine.drafters.heads.dflash.method import DFlash
from engine.drafters.heads.dflash.network import DFlashNetwork
from engine.drafters.heads.dflash.places import by_noise
from engine.tree import DraftTree

if TYPE_CHECKING:
    from engine.drafters.base import Context
    from engine.drafters.trust import Trust

MOST_BRANCHES = 8
"""Branches of a level that are gone on with."""


class Step(NamedTuple):
    """What a head says of one place behind m branches."""

    scores: Tensor
    """(m, n) of the tokens that it considers there."""
    ids: Tokens
    """(n,): those tokens."""
    confidence: LogProbs | None
    """(m,): how sure it is of its law behind each branch; None where it does not say."""


class Walk(ABC):
    """The places of one block, gone through from the root on."""

    @abstractmethod
    def step(self, level: int, rows: Tokens, tokens: Tokens) -> Step:
        """Of place `level`, behind these tokens (m,); `rows` are their branches' places among the step's before."""

    @abstractmethod
    def logits(self, step: Step) -> Tensor:
        """(m, v) of the target's tokens, minus infinity for those that are not considered."""


class WalkedNetwork(DFlashNetwork, ABC):
    """A backbone with a head on it."""

    @abstractmethod
    def walk(self, states: Tensor, *, is_asked: bool) -> Walk:
        """A walk through places with these states (k, d); whether it is asked how sure it is."""


class Walked(DFlash, ABC):
    """Drafts along the steps of a head."""

    network: WalkedNetwork
    least = 0.0
    """The confidence below which nothing is drafted."""

    @torch.inference_mode()
    def _drafted(self, states: Tensor, num_nodes: int) -> DraftTree:
        walk = self.network.walk(states, is_asked=self.least > 0)
        if self.options.tree == "chain":
            return self._chain(walk, min(len(states), num_nodes))
        return self._tree(walk, len(states), num_nodes)

    def _chain(self, walk: Walk, num_nodes: int) -> DraftTree:
        growing = Growing(self.context, self.name, self._trust)
        node, token, row = -1, self.context.root_id, np.zeros(1, np.int64)
        for level in range(num_nodes):
            step = walk.step(level, row, np.array([token]))
            if step.confidence is not None and step.confidence[0] < self.least:
                break
            law = growing.laws([node], walk.logits(step))[0]
            choices = growing.choices(node, law, 1)
            if not choices:
                break
            node, token = growing.add(node, choices[0], law), choices[0].token
        return growing.tree()

    def _tree(self, walk: Walk, depth: int, num_nodes: int) -> DraftTree:
        branches = Branches(walk, self.context, self._trust, self.options.top_k or _trees.MOST_RANKS, self.least)
        levels = grow(branches, self.context.root_id, depth, MOST_BRANCHES, num_nodes)
        return best_nodes(levels, num_nodes, float(np.log(_trees.LEAST_SHARE)), branches.probs)


class Branches:
    """The rows of one draft: a `_levels.Advance`, by chances of being accepted; `probs` are the drafter's."""

    def __init__(self, walk: Walk, context: Context, trust: Trust, top_k: int, least: float) -> None:
        self.walk, self.context, self.trust, self.top_k, self.least = walk, context, trust, top_k, least
        self.probs: list[LogProbs] = []
        """Of each level's nodes, flat."""
        self._paths: list[list[int]] = [[]]

    def __call__(self, level: int, rows: Tokens, tokens: Tokens) -> Candidates:
        step = self.walk.step(level, rows, tokens)
        if level:
            self._paths = [
                [*self._paths[row], token] for row, token in zip(rows.tolist(), tokens.tolist(), strict=True)
            ]
        found, probs, chances = self._ranked(level, step)
        if step.confidence is not None:
            chances = chances * (step.confidence >= self.least)[:, None]
        self.probs.append(probs.reshape(-1))
        with np.errstate(divide="ignore"):
            return found, np.log(chances)

    def _ranked(self, level: int, step: Step) -> tuple[Tokens, LogProbs, LogProbs]:
        if self.context.draft_mode == "coupled":
            rows = [level] * len(step.scores)
            return by_noise(self.walk.logits(step), self.context, self.trust, self.top_k, rows, self._paths)
        places, log_probs = likeliest(step.scores, self.top_k)
        probs = np.exp(log_probs)
        return step.ids[places], probs, probs
