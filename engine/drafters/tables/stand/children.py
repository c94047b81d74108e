"""How the children of a node are chosen from an entry of STAND's memory: the likeliest, or drawn by Gumbel-top-k."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

from engine.drafters.tables.stand.memory import Entry


class Child(NamedTuple):
    """A chosen token and its stored probability."""

    token: int
    prob: float


def likeliest(entry: Entry, num_children: int) -> list[Child]:
    """The most probable tokens."""
    return [Child(*pair) for pair in zip(entry.tokens[:num_children], entry.probs, strict=False)]


def perturbed(entry: Entry, num_children: int, temperature: float, waits: Sequence[float]) -> list[Child]:
    """Gumbel-top-k with given noise, an exponential wait for each token of the entry."""
    scored = [
        (math.log(prob) / temperature - math.log(wait), token, prob)
        for token, prob, wait in zip(entry.tokens, entry.probs, waits, strict=True)
        if prob > 0
    ]
    return [Child(token, prob) for _, token, prob in sorted(scored, reverse=True)[:num_children]]


def drawn(entry: Entry, num_children: int, temperature: float, waits: Sequence[float]) -> list[Child]:
    """The same, of the tokens that the law knows: draws from it without replacement."""
    known = law(entry, temperature)
    children = perturbed(entry, len(entry.tokens), temperature, waits)
    return [child for child in children if child.token in known][:num_children]


def law(entry: Entry, temperature: float) -> dict[int, float]:
    """p^(1/temperature), normalised, by token; without those for which that is no number above 0."""
    pairs = [(token, prob) for token, prob in zip(entry.tokens, entry.probs, strict=True) if prob > 0]
    top = max(prob for _, prob in pairs)
    weights = {token: math.exp(math.log(prob / top) / temperature) for token, prob in pairs}
    total = sum(weights.values())
    return {token: weight / total for token, weight in weights.items() if weight > sys.float_info.min}
