"""How far to copy: what agrees already tells how likely the next token is to agree, and rows tell what trying costs.

A copy is a chain, and right for long or not at all. Behind one token that agrees with the text the next one is right
one time in five, behind sixteen nearly always, in whatever way the place was found (docs/decisions/0019). So one table
serves all places and lengths: of the copies that had agreed with the text for so many tokens, how many went on to.
A copy is compared with what was emitted whether it was drafted or not, so that looking again costs nothing, and a
budget that has fallen to none rises when copies begin to be right. Knows tokens; no index, no target.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.drafters.budget import FREE
from engine.tree import EMPTY_TREE, MAX_BUDGET, DraftTree, chain

SPANS = (0, 1, 2, 3, 4, 5, 7, 10, MAX_AGREED := 16)
"""Tokens that agree, from which on the next one is reckoned with another share."""
FIRST_SHARES = (0.4, 0.2, 0.5, 0.55, 0.65, 0.75, 0.8, 0.85, 0.97)
"""Before anything is known: SmolLM2-135M's own answers (docs/log.md, 2026-11-30)."""
PRIOR_TRIALS = 8.0
FORGETTING = 0.97
"""What a trial counts for at the next of its span: texts change in kind, so about thirty are remembered."""


class Agreement:
    """Of tokens that were expected behind so many that agree already, how many came."""

    def __init__(self) -> None:
        self._expected = np.full(len(SPANS), PRIOR_TRIALS)
        self._right = PRIOR_TRIALS * np.asarray(FIRST_SHARES)
        self._span_of = np.searchsorted(SPANS, np.arange(MAX_AGREED + MAX_BUDGET + 1), side="right") - 1

    def shares(self, agreed: Sequence[int] | npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """What came ÷ what was expected, behind each number of tokens."""
        spans = self._span_of[np.asarray(agreed, np.intp)]
        return np.asarray(self._right[spans] / self._expected[spans])

    def learn(self, agreed: int, expected: float, *, is_right: bool) -> None:
        """One more outcome; `expected` tokens, 1 at most, were held for what would come."""
        span = self._span_of[agreed]
        self._expected[span] = FORGETTING * self._expected[span] + expected
        self._right[span] = FORGETTING * self._right[span] + is_right


def paying(accepted: npt.NDArray[np.floating[Any]], costs: npt.NDArray[np.floating[Any]]) -> int:
    """How many of nodes with these chances, the first of them, maximise (1 + their sum) ÷ cost; of equals the most."""
    most = min(len(accepted), len(costs) - 1)
    rates = (1 + np.concatenate(([0.0], np.cumsum(accepted[:most])))) / costs[: most + 1]
    return most - int(np.argmax(rates[::-1]))


class Reach:
    """Maximises (1 + expected accepted tokens) ÷ cost of the pass, over the number of tokens copied."""

    def __init__(self, costs: Sequence[float] = FREE) -> None:
        """`costs[n]` is a pass over root and n nodes ÷ one over the root alone."""
        self._costs = np.asarray(costs)
        self._agreement = Agreement()
        self._copied: Sequence[int] = ()
        self._agreed = 0

    def draft(self, copied: Sequence[int], agreed: int, most: int) -> DraftTree:
        """As much of a copy as pays, `most` tokens at most; `agreed` tokens before it agree with the text."""
        self._copied, self._agreed = copied, min(agreed, MAX_AGREED)
        most = max(0, min(most, len(copied), len(self._costs) - 1))
        accepted = np.cumprod(self._agreement.shares(self._agreed + np.arange(most)))
        found = copied[: paying(accepted, self._costs)]
        return chain(found) if found else EMPTY_TREE

    def learn(self, emitted: Sequence[int]) -> None:
        """What followed the text that the last copy was for; drafted or not, it was right until it differs."""
        for place, (token, wanted) in enumerate(zip(self._copied, emitted, strict=False), start=self._agreed):
            self._agreement.learn(place, 1.0, is_right=token == wanted)
            if token != wanted:
                break
        self._copied = ()


def agreement(source: Sequence[int], end: int, text: Sequence[int]) -> int:
    """How many tokens before place `end` of the source are the text's last ones, as far as it matters."""
    most = min(MAX_AGREED, end, len(text))
    return next((n for n in range(most) if source[end - 1 - n] != text[-1 - n]), most)
