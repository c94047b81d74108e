"""A drafter that copies a chain from a source: members find the place, costs and agreement say how far."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.drafters.base import Context, Drafter, Room
from engine.drafters.copying._reach import Reach, agreement
from engine.drafters.ngrams import copy
from engine.tree import EMPTY_TREE, DraftTree

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target
    from engine.verify import Verdict


class Copier(Drafter):
    """Its options have `depth`, the most tokens to copy, and `budget`."""

    options: Any

    def __init__(self, options: Any, target: Target) -> None:
        super().__init__(options, target)
        self._eos_ids = target.facts.eos_ids
        self._reach = Reach()

    def fit(self, costs: Costs) -> None:
        if self.options.budget == "measured":
            self._reach = Reach(costs.rows)

    @abstractmethod
    def _find(self, ids: Sequence[int]) -> tuple[Sequence[int], int] | None:
        """A source, and the place in it where the copy behind these tokens begins."""

    def propose(self, context: Context, room: Room) -> DraftTree:
        found = self._find(context.ids)
        if found is None:
            return EMPTY_TREE
        source, start = found
        whole = copy(source, start, self.options.depth, self._eos_ids)
        return self._reach.draft(whole.tokens, agreement(source, start, context.ids), room.chain)

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        """How far the copy was right."""
        self._reach.learn(emitted)
