"""Typical acceptance: a node survives if the target finds its token plausible. Lossy: it changes what is written.

Medusa (arXiv 2401.10774, Section 2.3.1): token x of a node survives where the target's distribution p at
its parent gives

    p(x) > min(ε, δ · exp(−H(p)))

H the entropy in nats; the longest surviving path wins, the likelier of two as long. ε and δ are the published
code's defaults. Where its fast mode takes the likeliest token first, the token behind the path is here a
draw from the target, coupled to its place like node-sampling's; so with no draft this is plain decoding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.noise import Noise
from engine.tree import DraftTree
from engine.verify.base import Rule, TargetRows, Verdict, ending

EPSILON, DELTA = 0.09, 0.3


class Typical(Rule):
    """Plausible tokens pass, whatever the draw would have been."""

    name = "typical"
    guarantee = "lossy"
    draft_mode = "coupled"
    needs_temperature = "above zero"

    def verify(self, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> Verdict:
        path = self._longest(tree, target)
        row = path[-1] + 1 if path else 0
        return Verdict(path, target.drawn(row, noise, position + len(path)), ending(tree, path))

    def _longest(self, tree: DraftTree, target: TargetRows) -> tuple[int, ...]:
        likelihood = {-1: 1.0}
        for parent, children in enumerate(tree.children, -1):
            if parent not in likelihood or not children:
                continue
            probs = target[parent + 1]
            least = least_plausible(probs)
            for child, prob in zip(children, probs[[tree.tokens[child] for child in children]].tolist(), strict=True):
                if prob > least:
                    likelihood[child] = likelihood[parent] * prob
        depths = (0, *tree.depths)
        best = max(likelihood, key=lambda node: (depths[node + 1], likelihood[node]))
        return tree.path_to(best)


def least_plausible(probs: Tensor) -> float:
    """The probability that a token must exceed under this distribution (v,)."""
    return min(EPSILON, DELTA * math.exp(-float(torch.special.entr(probs).sum())))


RULE = Typical
