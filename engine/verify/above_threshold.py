"""Threshold acceptance: a draft passes where the target gives it at least this probability. Lossy.

SGLang's `accept_threshold_single`, there 1 unless set, which never passes anything.
"""

from __future__ import annotations

from torch import Tensor

from engine.verify._lenient import Lenient

THRESHOLD = 0.3


class AboveThreshold(Lenient):
    """Also keeps drafts that the target finds likely, whatever it drew."""

    name = "above_threshold"

    def tolerated(self, probs: Tensor, of_children: Tensor) -> Tensor:
        return of_children >= THRESHOLD


RULE = AboveThreshold
