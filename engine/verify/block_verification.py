"""Block verification of a sampled chain: its tokens are judged together (arXiv 2403.10444, Algorithm 2).

With P_0 = 1 and P_i = min(1, P_{i-1} · p_i(x_i) / q_i(x_i)), the first i of g tokens hold together with probability

    h_i = s_i / (s_i + 1 - P_i),   s_i = Σ (P_i p_{i+1} - q_{i+1})+   for i < g, and h_g = P_g

and the longest part that holds is kept; a later part may hold where an earlier one does not. The token behind part i is
drawn from norm((P_i p_{i+1} - q_{i+1})+), behind the whole chain from p. Of all rules for one draft that keep the
target's law, none accepts more tokens; rejection's token-wise rule never does. A chain may end by what was drawn.
"""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor

from engine.events import Judged
from engine.noise import Noise
from engine.tree import DraftTree
from engine.verify.base import Rule, TargetRows, Verdict, ending, refuse_unless_drawn


class BlockVerification(Rule):
    """Refuses what is not a sampled chain."""

    name = "block_verification"
    draft_mode = "drawn"
    drawing = "chain"
    is_reproducible = False
    needs_temperature = "above zero"

    def verify(self, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> Verdict:
        refuse_unless_drawn(type(self), tree)
        num = len(tree)
        probs = torch.stack([target[row] for row in range(num + 1)]).double()
        rows = [] if tree.draws is None else list(tree.draws.row_of)
        laws = torch.empty(0, target.width).to(probs) if tree.draws is None else tree.draws.rows[rows].to(probs)
        shares = held_shares(tree.tokens, probs, laws)
        left = (probs.new_tensor(shares[:-1])[:, None] * probs[:-1] - laws).clamp_(min=0)
        chances = holding_chances(shares, left.sum(dim=1).tolist())
        # All of one place: what is decided over tokens behind it must not decide again when they are drafted anew.
        uniforms = noise.uniforms(position, "acceptance")
        numbers = list(islice(uniforms, num))
        held = [uniform < chance for uniform, chance in zip(numbers, chances, strict=True)]
        length = max((i for i, holds in enumerate(held, start=1) if holds), default=0)
        # Where rounding leaves nothing, p and q are alike.
        weights = probs[length] if length == num or not left[length].any() else left[length]
        path = tuple(range(length))
        token = noise.draw(weights, position + length, "correction")
        return Verdict(path, token, ending(tree, path), self._judged(probs, laws, left, numbers, chances))

    def _judged(
        self, probs: Tensor, laws: Tensor, left: Tensor, numbers: list[float], chances: list[float]
    ) -> tuple[Judged, ...]:
        """Where that is to be told."""
        if not self.has_detail:
            return ()
        masses = zip(probs[:-1].minimum(laws).sum(dim=1).tolist(), left.sum(dim=1).tolist(), strict=True)
        found = enumerate(zip(masses, numbers, chances, strict=True))
        return tuple(Judged(node, overlap, None, draw, mass, chance) for node, ((overlap, mass), draw, chance) in found)


def held_shares(tokens: tuple[int, ...], probs: Tensor, laws: Tensor) -> list[float]:
    """P_0 … P_g of a chain of tokens: how much of each part is to hold."""
    places = torch.arange(len(tokens))
    wanted, stated = probs[places, list(tokens)].tolist(), laws[places, list(tokens)].tolist()

    shares = [1.0]
    for p, q in zip(wanted, stated, strict=True):
        share = shares[-1] * p
        shares.append(share / q if share < q else float(share > 0))
    return shares


def holding_chances(shares: list[float], left: list[float]) -> list[float]:
    """h_1 … h_g. `left[i]`: s_i, the mass of the residual behind part i."""
    inner = [s / (s + 1 - share) if s + 1 - share > 0 else 1.0 for share, s in zip(shares[1:-1], left[1:], strict=True)]
    return [*inner, *shares[1:][-1:]]


RULE = BlockVerification
