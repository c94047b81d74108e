"""Chains drafted by some of the target's own layers, in its own KV cache.

A draft reads the root and then each of its own tokens through those layers, as pending rows of the target: before them
stands the committed text as the whole model read it. Under the rules that weigh draws the chain says what it drew from.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from engine.drafters.base import Context, Drafter, Needs, Room
from engine.drafters.growing import Growing
from engine.drafters.trust import Trust
from engine.draws import Drawing
from engine.tree import EMPTY_TREE, DraftTree
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.target import Scored, Target


class ChainOptions(Protocol):
    """Options that every member has."""

    @property
    def depth(self) -> int: ...
    @property
    def min_confidence(self) -> float: ...


class OwnLayers(Drafter):
    """A member says how a token is read (`_read`), and what becomes of the rows (`_left`)."""

    needs: Needs = Needs(own_layers=True)
    drawings: tuple[Drawing, ...] = ("in_turn", "iid", "chain")
    options: ChainOptions

    def __init__(self, options: ChainOptions, target: Target) -> None:
        super().__init__(options, target)
        self.runner = target.runner

    def start(self, context: Context) -> None:
        super().start(context)
        self._trust = Trust()

    def propose(self, context: Context, room: Room) -> DraftTree:
        if self.runner.num_pending:
            self.runner.commit(())  # of a draft that was not scored
        depth, least = self._plan(room)
        if depth < 1:
            return EMPTY_TREE
        growing, last = Growing(context, self.name, self._trust), -1
        while True:
            law = growing.laws([last], self._read(growing.tokens[last] if growing else context.root_id, last))[0]
            (choice,) = growing.choices(last, law, 1)
            last = growing.add(last, choice, law)
            if len(growing) == depth or choice.prob < least:
                return self._left(growing)

    def _plan(self, room: Room) -> tuple[int, float]:
        """How many tokens to draft, and the probability of one below which it is the last."""
        return min(self.options.depth, room.chain), self.options.min_confidence

    @abstractmethod
    def _read(self, token: int, node: int) -> Tensor:
        """Scores (1, v) of what follows a token, which is node `node` of the chain; -1: the root. Its row waits."""

    @abstractmethod
    def _left(self, growing: Growing) -> DraftTree:
        """The draft; all its tokens but the last were read."""

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        self._trust.learn(emitted[0])
