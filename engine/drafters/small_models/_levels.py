"""Trees of a small model that grow level by level: one pass of the model for each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from engine.drafters.base import Context, Room
from engine.drafters.growing import Growing
from engine.drafters.small_models._model import SmallModel
from engine.tree import DraftTree


class ByLevels(SmallModel):
    """A member says how many children a node has, and which nodes of a level have any."""

    most_nodes: int

    def _draft(self, context: Context, logits: Tensor, room: Room) -> DraftTree:
        growing, frontier = self._begin(context), [-1]
        num_nodes = min(self.most_nodes, room.nodes)
        for depth in range(1, room.depth + 1):
            nums = [self._num_children(growing, node) for node in frontier]
            level = growing.below(frontier, growing.laws(frontier, logits), nums, num_nodes)
            frontier = self._expanded(growing, level)
            is_full = growing.is_drawn and len(growing) == num_nodes
            if not frontier or is_full or depth == room.depth:
                break
            logits = self._feed_nodes(frontier, growing)
        return self._proposed(growing, num_nodes)

    @abstractmethod
    def _num_children(self, growing: Growing, node: int) -> int:
        """How many tokens to choose or draw below a node; told before any of them is known."""

    def _expanded(self, growing: Growing, level: Sequence[int]) -> list[int]:
        """Which nodes of a level get children."""
        return list(level)
