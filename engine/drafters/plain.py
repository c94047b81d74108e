"""The null drafter: proposes nothing, so the loop decodes plainly. The baseline of every speedup."""

from __future__ import annotations

from engine.drafters.base import Context, Drafter, Room
from engine.tree import EMPTY_TREE, DraftTree


class Plain(Drafter):
    """One token a target pass."""

    name = "plain"
    title = "Plain decoding"
    summary = "No drafts: the target writes one token a pass. Every speedup is measured against it."
    source = "baseline"
    drawings = ("in_turn", "iid", "chain")

    def propose(self, context: Context, room: Room) -> DraftTree:
        return EMPTY_TREE


DRAFTER = Plain
