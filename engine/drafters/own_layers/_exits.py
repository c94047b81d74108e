"""DEL's running estimates: how often each exit's token is the target's, how sure it is then, and what pays by that.

What a layer would have drafted where a text went on is a shadow token: final norm and output layer over states that a
step has made anyway. An estimate leaves out more of what it saw with each token, so that it follows the text. Knows
numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]

PRIOR_TOKENS = 2.0
"""Before anything is seen an exit is right as often as it is deep, and that is worth so many tokens."""

LEAST_GAIN = 1.1
"""That drafting has to promise: of many estimates the highest is one that errs upwards."""


def step_costs(layers: Sequence[int], exits: tuple[float, float], rows: Sequence[float], depth: int) -> Floats:
    """(n, depth + 1): a step that drafts so many tokens by so many layers ÷ a pass of one row.

    `exits`: a layer, and what a token that leaves costs beside its layers; `rows[d]`: a pass over root and d nodes, in
    that unit. Root and draft go through the first layers one by one, through the others together. Where rows and
    leaving are free that is, in layers, the paper's d · exit + all.
    """
    lengths, first = np.arange(depth + 1), np.asarray(layers)[:, None] * exits[0]
    costs: Floats = first * (lengths + 1) + exits[1] * lengths + (1 - first) * np.asarray(rows)[lengths]
    return costs


class Exits:
    """A session's estimates for n exits, ascending."""

    def __init__(self, layers: Sequence[int], num_layers: int, memory: float) -> None:
        """`memory`: the share of what was seen that a token leaves."""
        self.layers, self._memory = tuple(layers), memory
        self._seen = np.full(len(layers), PRIOR_TOKENS)
        self._accepted = PRIOR_TOKENS * np.asarray(layers) / num_layers
        self._num_sure = np.zeros((2, len(layers)))
        self._sums = np.zeros((2, len(layers)))

    @property
    def rates(self) -> Floats:
        """(n,): how often each exit's token is accepted, below 1."""
        return np.asarray(np.minimum(self._accepted / self._seen, 0.99))

    def learn(self, chances: Floats, is_right: Floats, confidences: Floats) -> None:
        """What followed m places (m, n): how likely each exit's token was to be accepted; if its likeliest is right.

        `confidences`: the probability of that one.
        """
        for chance, right, sure in zip(chances, is_right, confidences, strict=True):
            self._seen = self._memory * self._seen + 1
            self._accepted = self._memory * self._accepted + chance
            kinds = np.stack((1 - right, right))
            self._num_sure = self._memory * self._num_sure + kinds
            self._sums = self._memory * self._sums + kinds * sure

    def best(self, costs: Floats, fewest: int = 0) -> tuple[int, int]:
        """The exit (its place) and length with the most expected tokens for their cost (n, d + 1).

        0 where drafting does not promise enough, unless `fewest` tokens are to be drafted.
        """
        powers = self.rates[:, None] ** np.arange(costs.shape[1])
        speeds = (np.cumsum(powers, axis=1) / costs)[:, fewest:]
        place, length = np.unravel_index(int(np.argmax(speeds)), speeds.shape)
        is_idle = fewest == 0 and speeds[place, length] < LEAST_GAIN
        return int(place), 0 if is_idle else int(length) + fewest

    def threshold(self, place: int) -> float:
        """Halfway between the mean probabilities of an exit's wrong and right tokens; 0 until both were seen."""
        if not self._num_sure[:, place].all():
            return 0.0
        return float((self._sums[:, place] / self._num_sure[:, place]).mean())
