"""Rejection of siblings that are drawn with replacement: SpecInfer's multi-step speculative sampling (2305.09781).

The drafter draws a node's children independently of each other from one law q; child after child survives with
probability min(1, p(x) / q(x)), else p becomes norm((p - q)+). Children of one law are alike, so the order of
examination, random in the paper, is that of drawing. A token that was drawn twice is examined twice.
"""

from __future__ import annotations

from engine.verify.rejection import Rejection


class WithReplacement(Rejection):
    """Asks for independent siblings; examines them as rejection does."""

    name = "with_replacement"
    drawing = "iid"


RULE = WithReplacement
