"""Drafting with a small language model that shares the target's vocabulary.

Leviathan et al. (arXiv 2211.17192), Chen et al. (2302.01318); the draft model's own making is
FastDraft's (2411.11055). The draft model keeps a KV cache of its own: committed tokens are fed
once, its accepted rows are kept, the others rolled back, nothing is computed twice.

A chain of `depth` tokens by default. Adaptive length: after a token that the draft model gives less
than `min_confidence`, drafting stops; the weak token stays in the draft, so that a sampled chain
remains exactly drawn: no token is dropped for what it is. With `width` above 1 a tree: level by level the
`width` nodes of highest path probability are expanded, and the best `nodes` of all are proposed
(EAGLE-2's growth, 2406.16858, on a draft model).

How tokens are chosen follows the rule's draft mode: the likeliest; coupled, with the target's own noise
(docs/decisions/0003), which changes what is accepted, never what is emitted; or drawn afresh, and then the tree
says from what, and keeps all that was drawn, since a cut by probability would go by the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine import models
from engine.drafters.base import Context, Drafter, Needs, Room
from engine.drafters.budget import MeasuredBudget, budget_option
from engine.draws import Draws
from engine.options import option
from engine.runtime import guards
from engine.runtime.crossings import download
from engine.runtime.longrope import make_runner
from engine.runtime.passes import Rows
from engine.runtime.runner import PREFILL_ROWS
from engine.sampling import displayed, fitted, warp
from engine.tree import EMPTY_TREE, DraftTree, chain
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target

Ids = Sequence[int]
GPUS = ("cuda:0", "cuda:1")


@dataclass(frozen=True)
class DraftModelOptions:
    """Which draft model, how deep, how wide."""

    model: str = option("auto", "Draft model: preset's own (auto), folder or hub id.", kind="model", words=("auto",))
    depth: int = option(4, "Most tokens in a row to draft.", low=1, high=32, unit="tokens")
    min_confidence: float = option(
        0.3, "Stop drafting after a token below this probability; 0 never.", low=0.0, high=1.0
    )
    width: int = option(1, "Nodes to expand per level; 1 drafts a chain.", low=1, high=16, unit="nodes")
    nodes: int = option(16, "Most nodes of a tree (width above 1).", low=1, high=64, unit="nodes")
    budget: str = budget_option()
    device: str = option(
        "target", "Where the draft model runs: the target's device, or another.", choices=("target", "cpu", *GPUS)
    )
    dtype: str = option("target", "Its dtype: the target's, or another.", choices=("target", "bf16", "fp16", "fp32"))
    max_context: int = option(
        0, "Most tokens of text that it drafts in; 0 as many as it can.", low=0, high=262_144, unit="tokens"
    )


class DraftModel(Drafter):
    """A small language model with its own KV cache."""

    name = "draft_model"
    title = "Draft model"
    summary = "A small language model writes a few tokens ahead; the target checks them in one pass."
    source = "arXiv 2211.17192, 2302.01318"
    needs = Needs(draft_model=True)
    states_draws = True
    Options = DraftModelOptions
    options: DraftModelOptions

    def __init__(self, options: DraftModelOptions, target: Target) -> None:
        super().__init__(options, target)
        spec = models.DraftSpec(options.model, options.device, options.dtype, options.max_context)
        draft = models.load_draft(spec, target.facts)
        self.max_context = draft.max_context
        self.runner = make_runner(draft.model, draft.max_context, is_row_invariant=False)
        guards.check(self.runner, draft.name)
        self._budget = MeasuredBudget()
        self._device = target.facts.device
        self._num_readable, self._num_scores = draft.vocab_size, target.facts.vocab_size

    @classmethod
    def unavailable(cls, target: Target | None = None) -> str | None:
        if target is None or target.facts.draft is not None:
            return None
        return f"No draft model is known for {target.facts.name}; name one with the option model."

    def fit(self, costs: Costs) -> None:
        if self.options.budget == "measured" and self.options.width > 1:
            self._budget = MeasuredBudget(costs.rows, self.options.nodes)

    def start(self, context: Context) -> None:
        super().start(context)
        self._rows: list[int | None] = []
        self._fits = len(context.ids) + self.options.depth < self.max_context
        if self._fits:
            self.runner.prefill(self._readable(context.ids[:-1]))

    def propose(self, context: Context, room: Room) -> DraftTree:
        self._rows = []
        self._fits = self._fits and len(context.ids) + self.options.depth < self.max_context
        if not self._fits or room.chain < 1:
            return EMPTY_TREE
        self.runner.expect(len(context.ids))
        logits = self._feed(context.ids[self.runner.num_committed :])
        if self.options.width > 1:
            grow = self._draw_tree if context.draft_mode == "drawn" else self._grow
            return grow(context, logits, room)
        return self._chain(context, logits, min(self._depth(), room.chain))

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        """Keep the accepted nodes' rows; a node that was never fed is fed with the next root.

        Where another drafter proposed the tree there are no rows: its tokens wait to be fed.
        """
        self._budget.learn(self.context.tree, verdict.path)
        rows = [self._rows[node] for node in verdict.path if node < len(self._rows)]
        self.runner.commit([row for row in rows if row is not None])
        self._rows = []

    def _depth(self) -> int:
        """How deep to draft, the context being read: a draft model with a border (longrope.py) stays before it."""
        border, num_read = self.runner.border, self.runner.num_committed
        if border is None or num_read > border:
            return self.options.depth
        return min(self.options.depth, border - num_read + 1)  # the deepest token is not fed

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

    def _chain(self, context: Context, logits: Tensor, depth: int) -> DraftTree:
        tokens: list[int] = []
        probs: list[float] = []
        drawn_from: list[Tensor] = []
        while True:
            token, prob, distribution = self._choose(context, logits, tokens)
            tokens.append(token)
            probs.append(prob)
            if distribution is not None:
                drawn_from.append(distribution)
            if len(tokens) == depth or prob < self.options.min_confidence:
                return chain(tokens, probs, torch.stack(drawn_from) if drawn_from else None)
            logits = self._scores(self.runner.extend([token], [len(tokens) - 2], num_logits=1))
            self._rows.append(len(tokens) - 1)

    def _choose(self, context: Context, logits: Tensor, path: Sequence[int]) -> tuple[int, float, Tensor | None]:
        """The next token of a chain, its draft probability, and what it was sampled from, if it was."""
        config, mode = context.config, context.draft_mode
        contexts = [[*context.ids, *path]] if config.repetition_penalty != 1 else None
        if mode == "drawn":
            distribution = warp(logits, config, contexts)[0]
            waits = context.noise.waits(context.position + len(path), len(distribution), self.name, logits.device)
            return *_highest(distribution / waits, distribution), distribution
        probs = displayed(logits, config, contexts)[0]
        return *_highest(self._raced(context, probs, len(path)), probs), None

    def _raced(self, context: Context, probs: Tensor, depth: int) -> Tensor:
        """What is highest for the token to choose first (…, v): above temperature 0 with the target's noise."""
        if context.draft_mode == "likeliest":
            return probs
        return probs / context.noise.waits(context.position + depth, probs.shape[-1], device=probs.device)

    def _draw_tree(self, context: Context, logits: Tensor, room: Room) -> DraftTree:
        """Level by level: draw children of the best nodes, without replacement, as long as there is room.

        Where to draw may go by the tokens that are there; a drawn node is never dropped for its own.
        """
        tokens: list[int] = []
        parents: list[int] = []
        probs: list[float] = []
        values = {-1: 1.0}
        laws: dict[int, Tensor] = {}
        frontier = [-1]
        num_nodes, depth_left = min(self.options.nodes, room.nodes), min(self._depth(), room.depth)
        for depth in range(depth_left):
            first, contexts = len(tokens), _contexts(context, frontier, tokens, parents)
            for node, law in zip(frontier, warp(logits, context.config, contexts), strict=True):
                for token, prob in self._drawn(context, law, depth, num_nodes - len(tokens)):
                    values[len(tokens)] = values[node] * prob
                    tokens.append(token)
                    parents.append(node)
                    probs.append(prob)
                    laws[node] = law
            if len(tokens) == num_nodes or depth + 1 == depth_left:
                break
            frontier = sorted(range(first, len(tokens)), key=lambda node: -values[node])[: self.options.width]
            logits = self._feed_nodes(frontier, tokens, parents)
        row_of = {node: row for row, node in enumerate(laws)}
        draws = Draws(torch.stack([*laws.values()]), tuple(row_of[node] for node in parents), "without_replacement")
        return DraftTree(tuple(tokens), tuple(parents), tuple(probs), draws)

    def _drawn(self, context: Context, law: Tensor, depth: int, num_left: int) -> list[tuple[int, float]]:
        """Children of a node by a law (v,), without replacement: tokens in the order of their draws, probabilities."""
        waits = context.noise.waits(context.position + depth, len(law), self.name, law.device)
        chosen = (law / waits).topk(min(self.options.width, num_left, len(law))).indices
        tokens, probs = download(chosen, law[chosen])
        return [(int(token), prob) for token, prob in zip(tokens.tolist(), probs.tolist(), strict=True) if prob > 0]

    def _grow(self, context: Context, logits: Tensor, room: Room) -> DraftTree:
        """Level by level: expand the best nodes, then keep the best of all."""
        tokens: list[int] = []
        parents: list[int] = []
        probs: list[float] = []
        values: list[float] = []
        frontier = [-1]
        depth_left = min(self._depth(), room.depth)
        for depth in range(depth_left):
            children = self._children(context, logits, frontier, tokens, parents, depth)
            valued = [
                (values[parent] * prob if parent >= 0 else prob, parent, token, prob)
                for parent, token, prob in children
            ]
            level = sorted(valued, key=lambda child: -child[0])[: self.options.nodes]
            first = len(tokens)
            for value, parent, token, prob in level:
                tokens.append(token)
                parents.append(parent)
                probs.append(prob)
                values.append(value)
            if depth + 1 < depth_left:
                frontier = list(range(first, min(first + self.options.width, len(tokens))))
                logits = self._feed_nodes(frontier, tokens, parents)
        return self._best(
            DraftTree(tuple(tokens), tuple(parents), tuple(probs)), values, min(self.options.nodes, room.nodes)
        )

    def _children(
        self, context: Context, logits: Tensor, frontier: Ids, tokens: Ids, parents: Ids, depth: int
    ) -> list[tuple[int, int, float]]:
        """The `width` best children (parent, token, probability) of each frontier node."""
        probs = displayed(logits, context.config, _contexts(context, frontier, tokens, parents))
        chosen = self._raced(context, probs, depth).topk(min(self.options.width, probs.shape[1]), dim=1).indices
        tokens_of, probs_of = (part.tolist() for part in download(chosen, probs.gather(1, chosen)))
        return [
            (node, int(token), prob)
            for node, kept, shares in zip(frontier, tokens_of, probs_of, strict=True)
            for token, prob in zip(kept, shares, strict=True)
            if prob > 0
        ]

    def _feed_nodes(self, nodes: Sequence[int], tokens: Sequence[int], parents: Sequence[int]) -> Tensor:
        """Logits (w, v) of what follows each of these nodes."""
        row_of = {node: row for node, row in enumerate(self._rows) if row is not None}
        first = self.runner.num_pending
        rows = self.runner.extend([tokens[i] for i in nodes], [row_of.get(parents[i], -1) for i in nodes])
        self._rows += [None] * (max(nodes) + 1 - len(self._rows))
        for row, node in enumerate(nodes, start=first):
            self._rows[node] = row
        return self._scores(rows)

    def _best(self, tree: DraftTree, values: Sequence[float], num_nodes: int) -> DraftTree:
        """The nodes of highest path probability that pay, at most so many: no node outranks its parent."""
        ranked = sorted(range(len(tree)), key=lambda i: (-values[i], i))[:num_nodes]
        ranked = ranked[: self._budget.choose(range(len(ranked)))]
        kept = sorted(ranked)
        self._rows = [self._rows[i] if i < len(self._rows) else None for i in kept]
        return self._budget.offer(tree.only(kept), {kept.index(i): place for place, i in enumerate(ranked)})


def _highest(raced: Tensor, probs: Tensor) -> tuple[int, float]:
    """Where a row (v,) is highest, and the probability there."""
    token = raced.argmax(dim=0, keepdim=True)
    found, prob = torch.cat(download(token, probs[token])).tolist()
    return int(found), prob


def _contexts(context: Context, nodes: Ids, tokens: Ids, parents: Ids) -> list[list[int]] | None:
    """Token ids before what follows each of these nodes, where the settings look back."""
    if context.config.repetition_penalty == 1:
        return None
    tree = DraftTree(tuple(tokens), tuple(parents))
    return [[*context.ids, *(tokens[i] for i in tree.path_to(node))] for node in nodes]


DRAFTER = DraftModel
