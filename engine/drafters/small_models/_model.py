"""The drafter around a small language model: its weights, its KV cache, and what a step keeps of it.

The model has a KV cache of its own: committed tokens are fed once, its accepted rows are kept, the others rolled back,
nothing is computed twice. What a step drafts, a member says (`_draft`), with rows fed node by node (`_feed_nodes`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from engine import models
from engine.drafters.base import Context, Drafter, Needs, Room
from engine.drafters.budget import MeasuredBudget
from engine.drafters.growing import Growing
from engine.drafters.small_models._options import ModelOptions
from engine.drafters.trust import Trust
from engine.runtime import guards
from engine.runtime.longrope import make_runner
from engine.runtime.passes import Rows
from engine.runtime.runner import PREFILL_ROWS
from engine.sampling import fitted
from engine.tree import EMPTY_TREE, DraftTree
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target


class SmallModel(Drafter):
    """A small language model with its own KV cache. A member sets `most_depth` and drafts."""

    needs: Needs = Needs(draft_model=True)
    options: ModelOptions
    most_depth: int
    """Of its drafts."""
    fits_nodes: ClassVar[bool] = True
    """Whether as many of its nodes are proposed as pay, where they are not drawn."""
    trained_as: ClassVar[str] = ""
    """The method that its model has to be trained for; empty where any draft model will do."""
    _root_row = -1
    """The root's, where it waits in the cache and is not committed yet."""

    def __init__(self, options: ModelOptions, target: Target) -> None:
        super().__init__(options, target)
        spec = models.DraftSpec(
            options.model, options.device, options.dtype, options.max_context, method=self.trained_as
        )
        draft = models.load_draft(spec, target.facts)
        self.max_context, self._model_name = draft.max_context, draft.name
        self.runner = make_runner(draft.model, draft.max_context, is_row_invariant=False)
        guards.check(self.runner, draft.name)
        if reason := self.runner.why_eager:
            self.caveat = f"The draft model's passes are launched kernel by kernel, because {reason}."
        self._budget = MeasuredBudget()
        self._device = target.facts.device
        self._num_readable, self._num_scores = draft.vocab_size, target.facts.vocab_size

    @classmethod
    def unavailable(cls, target: Target | None = None) -> str | None:
        if target is None or models.own_draft(target.facts, cls.trained_as) is not None:
            return None
        return f"No {cls.trained_as or 'draft'} model is known for {target.facts.name}; name one with the option model."

    def fit(self, costs: Costs) -> None:
        if self.fits_nodes and getattr(self.options, "budget", "fixed") == "measured":
            self._budget = MeasuredBudget(costs.rows)

    def start(self, context: Context) -> None:
        super().start(context)
        self._trust = Trust()
        self._behind = torch.empty(0)
        """Scores (1, v) of what follows the root."""
        self._rows: list[int | None] = []
        text = self._text(context)
        self._fits = len(text) + self.most_depth < self.max_context
        if self._fits:
            self.runner.prefill(self._readable(text[:-1]))

    def propose(self, context: Context, room: Room) -> DraftTree:
        self._rows = []
        text = self._text(context)
        self._fits = self._fits and len(text) + self.most_depth < self.max_context
        if not self._fits or room.chain < 1:
            return EMPTY_TREE
        self.runner.expect(len(text))
        new = text[self.runner.num_committed :]
        if new:
            self._behind = self._feed(new)
        else:
            self.runner.commit(())  # asked again behind the same root, as where drafts are timed
        return self._draft(context, self._behind, Room(room.nodes, min(self._depth(len(text)), room.depth)))

    def _text(self, context: Context) -> list[int]:
        """What the model reads, root included."""
        return context.ids

    def _begin(self, context: Context) -> Growing:
        """A step's tree."""
        return Growing(context, self.name, self._trust)

    @abstractmethod
    def _draft(self, context: Context, logits: Tensor, room: Room) -> DraftTree:
        """The draft behind a root whose scores (1, v) these are; there is room for a node at least."""

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        """Keep the accepted nodes' rows; a node that was never fed is fed with the next root.

        Where another drafter proposed the tree there are no rows: its tokens wait to be fed.
        """
        self._budget.learn(self.context.tree, verdict.path)
        self._trust.learn(emitted[0])
        rows = [self._rows[node] for node in verdict.path if node < len(self._rows)]
        self.runner.commit([row for row in takewhile(lambda row: row is not None, rows) if row is not None])
        self._rows = []

    def _depth(self, num_read: int) -> int:
        """How deep to draft behind so many tokens: a draft model with a border (longrope.py) stays before it."""
        border = self.runner.border
        if border is None or num_read > border:
            return self.most_depth
        return min(self.most_depth, border - num_read + 1)  # the deepest token is not fed

    def _feed(self, ids: Sequence[int]) -> Tensor:
        """Commit tokens that the target emitted; scores (1, v) of what follows them."""
        for start in range(0, len(ids), PREFILL_ROWS):
            block = self._readable(ids[start : start + PREFILL_ROWS])
            rows = self.runner.extend(block, range(-1, len(block) - 1), num_logits=1)
            self.runner.commit(range(len(block)))
        return self._scores(rows)

    def _readable(self, ids: Sequence[int]) -> list[int]:
        """Tokens of the target as the draft model can read them.

        Tables are padded to round sizes, each model's to its own. An id beyond the vocabulary means nothing, so
        one that the draft model has no row for is read as its last.
        """
        return [min(token, self._num_readable - 1) for token in ids]

    def _scores(self, rows: Rows) -> Tensor:
        """Scores (m, v) for the target's v tokens, where the target is."""
        return fitted(rows.logits.to(self._device), self._num_scores)

    def _feed_nodes(self, nodes: Sequence[int], growing: Growing) -> Tensor:
        """Scores (m, v) of what follows each of these nodes, whose parents were fed."""
        row_of = {node: row for node, row in enumerate(self._rows) if row is not None}
        first = self.runner.num_pending
        tokens = self._readable([growing.tokens[node] for node in nodes])
        rows = self.runner.extend(tokens, [row_of.get(growing.parents[node], self._root_row) for node in nodes])
        self._rows += [None] * (max(nodes) + 1 - len(self._rows))
        for row, node in enumerate(nodes, start=first):
            self._rows[node] = row
        return self._scores(rows)

    def _chain(self, growing: Growing, last: int, logits: Tensor, most: int, least: float) -> None:
        """Tokens in a row below a node behind which these scores (1, v) stand, to the first less probable than `least`.

        At most so many; the last one is not fed.
        """
        for number in range(1, most + 1):
            last = self._one_more(growing, last, logits)
            if number == most or growing.probs[last] < least:
                return
            logits = self._feed_nodes([last], growing)

    def _one_more(self, growing: Growing, last: int, logits: Tensor) -> int:
        law = growing.laws([last], logits)[0]
        (choice,) = growing.choices(last, law, 1)
        return growing.add(last, choice, law)

    def _proposed(self, growing: Growing, num_nodes: int) -> DraftTree:
        """What is drawn as it is; of what is chosen the nodes that promise most and pay, at most so many.

        No node outranks its parent.
        """
        tree = growing.tree()
        if growing.is_drawn:
            return self._budget.offer(tree)
        ranked = sorted(range(len(tree)), key=lambda node: (-growing.values[node], node))[:num_nodes]
        ranked = ranked[: self._budget.choose(range(len(ranked)))]
        kept = sorted(ranked)
        self._rows = [self._rows[node] if node < len(self._rows) else None for node in kept]
        return self._budget.offer(tree.only(kept), {kept.index(node): place for place, node in enumerate(ranked)})
