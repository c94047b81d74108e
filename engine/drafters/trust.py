"""How far a drafter's own race tells the target's, where both share their noise; learned as the session goes.

The target draws the first of a race on its distribution p; the drafter knows its own q and the noise. With q = p the
winner of its race is the target's token; the worse q is, the less the noise tells. A token's chance is taken to go with
q ÷ wait^b: b = 1 is the race, b = 0 leaves the noise aside. Of five exponents the one is taken under which the tokens
that the target drew behind the root were likeliest so far; before any was drawn, the race's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
MEMORY = 0.98
"""How much of what was learned a step leaves."""
_LEAST = -12.0
"""Log-probability of what no exponent foresees."""


class Trust:
    """The exponent of a session."""

    def __init__(self) -> None:
        self._scores = np.zeros(len(EXPONENTS))
        self._seen: tuple[Tensor, Tensor] | None = None

    @property
    def exponent(self) -> float:
        """The best so far, of equally good ones the largest."""
        return EXPONENTS[len(EXPONENTS) - 1 - int(self._scores[::-1].argmax())]

    def weights(self, law: Tensor, waits: Tensor) -> Tensor:
        """In proportion to the chance of each token (v,), by the drafter's law and the noise (v,)."""
        return law if self.exponent == 0 else law / waits**self.exponent

    def look(self, law: Tensor, waits: Tensor) -> None:
        """The drafter's law behind the root, and the noise there: the target's token is about to be known."""
        self._seen = law, waits

    def learn(self, token: int) -> None:
        """The target's token behind the root that was looked at last; nothing, if none was."""
        if self._seen is None:
            return
        weights, waits = self._seen
        self._seen = None
        step = waits.rsqrt().sqrt()
        found = []
        for _ in EXPONENTS:
            found.append(torch.stack((weights[token], weights.sum())).double())
            weights = weights * step
        drawn, total = torch.stack(found).log().T
        self._scores = MEMORY * self._scores + (drawn - total).clamp(min=_LEAST).cpu().numpy()
