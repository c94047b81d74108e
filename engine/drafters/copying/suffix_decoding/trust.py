"""How far counted shares are to be believed in this text, and how many nodes pay if they are. Knows no index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.drafters.budget import FREE
from engine.drafters.copying._reach import MAX_AGREED, Agreement, paying
from engine.drafters.copying.suffix_decoding.candidates import Candidate


class Trust:
    """A factor on shares by how many tokens agree: what came ÷ what was expected.

    A draft is compared with what was emitted whether it was drafted or not, so looking again costs nothing.
    """

    def __init__(self, costs: Sequence[float] = FREE) -> None:
        """`costs[n]` is a pass over root and n nodes ÷ one over the root alone."""
        self._costs = np.asarray(costs)
        self._agreement = Agreement()
        self._last: Candidate | None = None

    def num_paying(self, candidate: Candidate | None) -> int:
        """Its first nodes that maximise (1 + expected accepted tokens) ÷ cost of the pass; of equals the most."""
        self._last = candidate
        if candidate is None:
            return 0
        agreed = min(candidate.match, MAX_AGREED)
        believed = np.cumprod(np.minimum(self._agreement.shares(agreed + np.arange(max(candidate.depths))), 1.0))
        return paying(np.asarray(candidate.shares) * believed[np.asarray(candidate.depths) - 1], self._costs)

    def learn(self, emitted: Sequence[int]) -> None:
        """What followed: at each depth, as far as it went as drafted, the share that was promised and the outcome."""
        candidate, self._last = self._last, None
        if candidate is None:
            return
        node, share = -1, 1.0
        for agreed, token in enumerate(emitted, start=min(candidate.match, MAX_AGREED)):
            below = [i for i, parent in enumerate(candidate.parents) if parent == node]
            if not below:
                return
            right = next((i for i in below if candidate.tokens[i] == token), None)
            promised = sum(candidate.shares[i] for i in below) / share
            self._agreement.learn(agreed, promised, is_right=right is not None)
            if right is None:
                return
            node, share = right, candidate.shares[right]
