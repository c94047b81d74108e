"""STAND: an n-gram memory of the target's own distributions, from which drafts are sampled.

arXiv 2506.04708 (stochastic adaptive n-gram drafting). For the last 4, 3 and 2 tokens the memory holds
the 10 likeliest next tokens with their probabilities at temperature 1, a running mean over all
visits: with the k + 1st, old * k / (k + 1) + fresh / (k + 1), a token absent on one side counting 0.
It learns from each verified position. A draft fills a tree of fixed shape: at each node the longest
n-gram that is known gives a distribution p^(1/temperature) over its tokens, and the node's children
are drawn from it without replacement by Gumbel-top-k: log-probability plus noise, the largest first.

Whose noise, by the verification rule's draft mode. likeliest: none. coupled: the target's own noise
of the place, so that draft and target tend to draw alike; exact, as any tree is. drawn: noise of its
own; the tree says that a node's children were drawn from the stored distribution without replacement,
which makes acceptance by residual exact.
State lives with the session. Several samples of one problem may share a memory: the caller's
explicit choice (`share`). A draft costs three look-ups a node, whatever the context's length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.drafters.base import Context, Drafter, Needs, Room
from engine.drafters.budget import MeasuredBudget, budget_option
from engine.drafters.fallback import BackedOptions
from engine.drafters.tables.stand.children import Child, drawn, law, likeliest, perturbed
from engine.drafters.tables.stand.memory import MAX_NGRAM, MIN_NGRAM, NUM_KEPT, Entry, Memory
from engine.drafters.tables.stand.shape import TREE, Slots, shape, usefulness
from engine.draws import Draws
from engine.noise import TARGET
from engine.options import option
from engine.runtime import crossings
from engine.sampling import Floats
from engine.tree import EMPTY_TREE, DraftTree
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target


@dataclass(frozen=True)
class StandOptions(BackedOptions):
    """How many nodes to draft, and from what to begin."""

    nodes: int = option(80, "Most nodes of the tree; the least often useful go first.", low=1, high=80, unit="nodes")
    budget: str = budget_option()
    reads_prompt: bool = option(True, "Begin with what followed each n-gram in the prompt.")
    prompt_scores: bool = option(False, "Begin with what the target finds likely behind each n-gram of the prompt.")


class Stand(Drafter):
    """Trees drawn from an n-gram memory."""

    name = "stand"
    title = "STAND"
    summary = "Remembers the target's own distributions by n-gram, and draws a tree of drafts from them."
    source = "arXiv 2506.04708"
    drawings = ("in_turn",)
    Options = StandOptions
    options: StandOptions

    def __init__(self, options: StandOptions, target: Target) -> None:
        super().__init__(options, target)
        self._shared: Memory | None = None
        self._shape, self._usefulness = shape(TREE[: options.nodes]), usefulness(TREE[: options.nodes])
        self._budget = MeasuredBudget()
        self.needs = Needs(prompt_top_k=NUM_KEPT if options.prompt_scores else 0, prompt_probs=options.prompt_scores)

    def fit(self, costs: Costs) -> None:
        if self.options.budget == "measured":
            self._budget = MeasuredBudget(costs.rows, self.options.nodes)

    def share(self, memory: Memory) -> None:
        """Begin with, and add to, what other samples of the same problem taught. Before `start`."""
        self._shared = memory

    def start(self, context: Context) -> None:
        super().start(context)
        self._vocab_size: int | None = None
        """Of the target's logits; known after its first pass."""
        self.memory = Memory() if self._shared is None else self._shared
        if self.options.reads_prompt:
            for end in range(MIN_NGRAM, len(context.ids)):
                self.memory.add(context.ids, end, context.ids[end : end + 1], (1.0,))
        if (top := context.prompt_top) is not None:
            likely = zip(top.ids(NUM_KEPT).tolist(), top.probs(NUM_KEPT).tolist(), strict=True)
            for end, (tokens, probs) in enumerate(likely, start=1):
                self.memory.add(context.ids, end, tokens, probs)

    def propose(self, context: Context, room: Room) -> DraftTree:
        is_drawn = context.draft_mode == "drawn"
        if is_drawn and self._vocab_size is None:
            return EMPTY_TREE
        parents, children, places = self._grow(context, room)
        if not children:
            return EMPTY_TREE
        tokens, probs = tuple(child.token for child in children), tuple(child.prob for child in children)
        tree = DraftTree(tokens, tuple(parents), probs, self._draws(context, tokens, parents) if is_drawn else None)
        # Where the text of a seed hangs on what is drafted, that does not hang on what the machine is like.
        return tree.pruned(room.nodes, room.depth) if is_drawn else self._budget.fitted(tree, places, room.nodes)

    def _grow(self, context: Context, room: Room) -> tuple[list[int], list[Child], list[int]]:
        """Parents, nodes and their usefulness, level by level, as far as n-grams are known."""
        choose = self._chooser(context)
        parents: list[int] = []
        children: list[Child] = []
        places: list[int] = []
        placed = {-1: (-1, tuple(context.ids[-MAX_NGRAM:]))}
        for slots in self._shape:
            node, last = placed.get(slots.parent, (-1, ()))
            entry = self.memory.get(last)
            if entry is None or slots.depth >= room.depth:
                continue
            for i, child in enumerate(choose(entry, slots), start=slots.first):
                placed[i] = len(children), (*last, child.token)[-MAX_NGRAM:]
                parents.append(node)
                children.append(child)
                places.append(self._usefulness[i])
        return parents, children, places

    def _chooser(self, context: Context) -> Callable[[Entry, Slots], list[Child]]:
        """How a node's children are chosen under the rule in use."""
        config, mode, noise, size = context.config, context.draft_mode, context.noise, self._vocab_size
        if mode == "likeliest" or size is None:
            return lambda entry, slots: likeliest(entry, slots.num_children)
        choose, stream = (drawn, self.name) if mode == "drawn" else (perturbed, TARGET)
        levels: list[Floats] = []

        def chosen(entry: Entry, slots: Slots) -> list[Child]:
            if slots.depth == len(levels):
                levels.append(noise.waits(context.position + slots.depth, size, stream).numpy())
            waits = levels[slots.depth][entry.tokens].tolist()
            return choose(entry, slots.num_children, config.temperature, waits)

        return chosen

    def _draws(self, context: Context, tokens: Sequence[int], parents: Sequence[int]) -> Draws:
        """What the children of each node were drawn from."""
        assert self._vocab_size is not None
        tree, row_of = DraftTree(tuple(tokens), tuple(parents)), dict[int, int]()
        rows = torch.zeros(len(set(parents)), self._vocab_size, dtype=torch.float64)
        for node in dict.fromkeys(parents):
            row_of[node] = len(row_of)
            text = (*context.ids[-MAX_NGRAM:], *(tokens[i] for i in tree.path_to(node)))
            entry = self.memory.get(text[-MAX_NGRAM:])
            assert entry is not None
            weights = law(entry, context.config.temperature)
            rows[row_of[node], list(weights)] = torch.tensor(list(weights.values()), dtype=torch.float64)
        return Draws(rows, tuple(row_of[node] for node in parents), "without_replacement")

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        """Learn from the root and the accepted nodes."""
        self._budget.learn(self.context.tree, verdict.path)
        ids = self.context.ids
        self._vocab_size = scored.logits.shape[1]
        rows = [0, *(node + 1 for node in verdict.path)][: len(emitted)]
        top = crossings.rows(scored.logits, rows).softmax(dim=1).topk(min(NUM_KEPT, self._vocab_size), dim=1)
        found, probs_of = crossings.download(top.indices, top.values)
        first = len(ids) - len(emitted)
        for end, tokens, probs in zip(range(first, len(ids)), found.long().tolist(), probs_of.tolist(), strict=True):
            self.memory.add(ids, end, tokens, probs)


DRAFTER = Stand
