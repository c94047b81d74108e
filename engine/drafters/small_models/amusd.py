"""AMUSD: a draft model goes on drafting while the target verifies (arXiv 2410.17375).

A step's draft is handed to the target, and the draft model takes it for granted: it guesses the token that the target
will add, and drafts what follows it. If all of that comes true the next step's draft is there; if not, the draft model
rolls back to where the texts part, and drafts anew. How far it goes on is fixed, and nothing depends on who is done
first: the same session drafts the same twice.

Between launch and collect only the target's pass and the draft model's passes run, and nothing that they share is
written. Beside a CPU's compiled passes, which hold the caller, the draft model has a thread of its own for that time; a
target on another device works while the caller drafts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from engine.drafters.base import Context, Room
from engine.drafters.growing import Choice, Growing
from engine.drafters.small_models._model import SmallModel
from engine.drafters.small_models._options import ChainOptions
from engine.draws import Drawing
from engine.runtime.beside import Beside
from engine.runtime.compiled import runs_compiled
from engine.tree import DraftTree
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.target import Scored, Target

MOST_WAITING = 256
"""Rows that may wait in the draft model's cache while what it foresees comes true again and again."""


class Amusd(SmallModel):
    """A draft model that is a step ahead."""

    name = "amusd"
    title = "AMUSD"
    summary = "A small language model goes on drafting while the target verifies, and rolls back where they part."
    source = "arXiv 2410.17375"
    drawings: tuple[Drawing, ...] = ("in_turn", "iid", "chain")
    Options = ChainOptions
    options: ChainOptions
    fits_nodes: ClassVar[bool] = False

    def __init__(self, options: ChainOptions, target: Target) -> None:
        self.most_depth = 2 * options.depth + 1
        super().__init__(options, target)
        self._has_thread = runs_compiled(target.facts.device)

    def start(self, context: Context) -> None:
        super().start(context)
        self.num_foreseen = 0
        """Drafts that were there before they were asked for."""
        self._kept: list[int] = []
        """Rows of text before the root that wait in the draft model's cache."""
        self._grown: list[tuple[Choice, Tensor]] = []
        """Of this step's tokens, and behind them of those that are foreseen, the choices and their laws."""
        self._num_drafted = 0
        self._foreseen: list[tuple[Choice, Tensor]] = []
        self._work: Callable[[], None] | None = None
        self._thread: Beside | None = None

    def propose(self, context: Context, room: Room) -> DraftTree:
        self.while_scoring(context)
        foreseen, self._foreseen = self._foreseen[: room.chain], []
        if foreseen:
            growing = self._taken(context, foreseen)
            self.num_foreseen += 1
            return self._handed(growing, room)
        self.runner.commit(self._kept)
        self._kept, self._root_row, self._num_drafted = [], -1, 0
        return super().propose(context, room)

    def _draft(self, context: Context, logits: Tensor, room: Room) -> DraftTree:
        growing, self._grown = self._begin(context), []
        self._chain(growing, -1, logits, min(room.chain, self.options.depth), self.options.min_confidence)
        return self._handed(growing, room)

    def _taken(self, context: Context, foreseen: list[tuple[Choice, Tensor]]) -> Growing:
        """What was foreseen, as this step's draft."""
        growing, last = self._begin(context), -1
        for choice, law in foreseen:
            last = growing.add(last, choice, law)
        if context.draft_mode == "coupled":
            law = foreseen[0][1]
            self._trust.look(law, context.noise.waits(context.position, len(law), device=law.device))
        self._grown, self._rows = [*foreseen], self._rows[: len(foreseen)]
        return growing

    def _one_more(self, growing: Growing, last: int, logits: Tensor) -> int:
        law = growing.laws([last], logits)[0]
        (choice,) = growing.choices(last, law, 1)
        self._grown.append((choice, law))
        return growing.add(last, choice, law)

    def _handed(self, growing: Growing, room: Room) -> DraftTree:
        """The draft; what follows it, the draft model is to foresee from now on."""
        tree, self._num_drafted = growing.tree(), len(growing)
        fits = self.runner.border is None and growing.context.position + self.most_depth < self.max_context
        if fits and room.depth > len(tree) + 1:
            self._work = functools.partial(self._foresee, growing)
            self._thread = Beside(self._work) if self._has_thread else None
        return tree

    def _foresee(self, growing: Growing) -> None:
        """The token that the target will add, and a draft behind it."""
        last = len(growing) - 1
        guess = self._one_more(growing, last, self._feed_nodes([last], growing))
        logits = self._feed_nodes([guess], growing)
        self._chain(growing, guess, logits, self.options.depth, self.options.min_confidence)

    def while_scoring(self, context: Context) -> None:
        work, thread, self._work, self._thread = self._work, self._thread, None, None
        if thread is not None:
            thread.result()
        elif work is not None:
            work()

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        self._trust.learn(emitted[0])
        num, rows, grown = self._num_drafted, self._rows, self._grown
        own = [rows[node] for node in verdict.path if node < min(num, len(rows))]
        self._kept += [self._root_row] * (self._root_row >= 0)
        self._kept += [row for row in takewhile(lambda row: row is not None, own) if row is not None]
        self._rows, self._grown, self._num_drafted, self._root_row, self._foreseen = [], [], 0, -1, []
        has_room = self.runner.num_pending < MOST_WAITING
        is_whole = num > 0 and verdict.path == tuple(range(num)) and len(emitted) == num + 1
        if is_whole and has_room and len(grown) > num and grown[num][0].token == emitted[-1]:
            guess = rows[num]
            assert guess is not None
            self._root_row, self._foreseen, self._rows = guess, grown[num + 1 :], rows[num + 1 :]


DRAFTER = Amusd
