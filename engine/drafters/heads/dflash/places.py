"""Which tokens to draft at the places of a block, above temperature 0: by the noise that is shared, or drawn.

The law of a place of DFlash hangs on the text alone, whatever is drafted at the others, so each is chosen or drawn by
itself; where a head knows the token before, rows are branches. Knows logits, noise and settings; no network, no tree
but a chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.drafters.base import Context
from engine.drafters.heads._candidates import LogProbs, Tokens
from engine.drafters.trust import Trust
from engine.runtime import crossings
from engine.sampling import displayed, warp
from engine.tree import DraftTree, chain


class Ranked(NamedTuple):
    """Tokens worth drafting at each place, best first, (places, k) each."""

    tokens: Tokens
    probs: LogProbs
    """The drafter's."""
    chances: LogProbs
    """How likely the target is to choose each there, as far as the drafter can tell."""


def by_noise(
    logits: Tensor,
    context: Context,
    trust: Trust,
    top_k: int,
    depths: Sequence[int] = (),
    paths: Sequence[Sequence[int]] = (),
) -> Ranked:
    """What the target is likeliest to draw with the noise that both share; `logits (m, v)`.

    `depths`: how many places each row's is behind the first, left out where rows stand for one place after another.
    `paths`: the tokens drafted before each row's place, where they are known.
    """
    depths, width = depths or range(len(logits)), logits.shape[1]
    laws = displayed(logits, context.config, _contexts(context, paths or [()] * len(logits)))
    waits = torch.stack([context.noise.waits(context.position + d, width, device=logits.device) for d in depths])
    if not depths[0]:
        trust.look(laws[0], waits[0])
    weights = trust.weights(laws, waits)
    best = weights.topk(min(top_k, width), dim=1)
    shares = best.values / weights.sum(dim=1, keepdim=True)
    tokens, probs, chances = crossings.download(best.indices, laws.gather(1, best.indices), shares)
    return Ranked(tokens.long().numpy(), probs.numpy(), chances.numpy())


def drawn(logits: Tensor, context: Context, name: str) -> DraftTree:
    """A token drawn at each place, and from what; with noise of the step's place, so that no draw tells of another."""
    laws = warp(logits, context.config, _contexts(context, [()] * len(logits)))
    tokens = [context.noise.draw(law, context.position, f"{name} {slot}") for slot, law in enumerate(laws)]
    probs = laws[torch.arange(len(laws)), tokens].tolist()
    return chain(tokens, probs, laws)


def _contexts(context: Context, paths: Sequence[Sequence[int]]) -> list[list[int]] | None:
    """Token ids before each place that are known, where the settings look back."""
    return None if context.config.repetition_penalty == 1 else [[*context.ids, *path] for path in paths]
