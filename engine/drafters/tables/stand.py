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

import functools
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch

from engine.drafters.base import Context, Drafter, Needs, Room
from engine.drafters.budget import MeasuredBudget, budget_option
from engine.drafters.fallback import fallback_option
from engine.draws import Draws
from engine.noise import TARGET
from engine.options import option
from engine.sampling import Floats
from engine.tree import EMPTY_TREE, DraftTree
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target

MIN_NGRAM, MAX_NGRAM = 2, 4
NUM_KEPT = 10
MAX_DEPTH = 12
NUM_START_NODES = 625
Path = tuple[int, ...]


@dataclass(frozen=True)
class StandOptions:
    """How many nodes to draft, and from what to begin."""

    nodes: int = option(80, "Most nodes of the tree; the least often useful go first.", low=1, high=80, unit="nodes")
    budget: str = budget_option()
    reads_prompt: bool = option(True, "Begin with what followed each n-gram in the prompt.")
    prompt_scores: bool = option(False, "Begin with what the target finds likely behind each n-gram of the prompt.")
    fallback: str = fallback_option()


@dataclass
class Entry:
    """What followed an n-gram: tokens by falling mean probability, at most `NUM_KEPT`."""

    tokens: list[int] = field(default_factory=list)
    probs: list[float] = field(default_factory=list)
    num_visits: int = 0

    def add(self, tokens: Sequence[int], probs: Sequence[float]) -> None:
        """One more visit with these probabilities."""
        k = self.num_visits
        mean = {token: prob * k / (k + 1) for token, prob in zip(self.tokens, self.probs, strict=True)}
        for token, prob in zip(tokens, probs, strict=True):
            mean[token] = mean.get(token, 0.0) + prob / (k + 1)
        ranked = sorted(mean.items(), key=lambda item: (-item[1], item[0]))[:NUM_KEPT]
        self.tokens, self.probs = [token for token, _ in ranked], [prob for _, prob in ranked]
        self.num_visits = k + 1


class Memory:
    """Entries by n-gram."""

    def __init__(self) -> None:
        self.entries: dict[tuple[int, ...], Entry] = {}

    def add(self, ids: Sequence[int], end: int, tokens: Sequence[int], probs: Sequence[float]) -> None:
        """What follows `ids[:end]`, for each n-gram that ends there."""
        for length in range(MIN_NGRAM, min(MAX_NGRAM, end) + 1):
            self.entries.setdefault(tuple(ids[end - length : end]), Entry()).add(tokens, probs)

    def get(self, last: tuple[int, ...]) -> Entry | None:
        """The entry of the longest n-gram that ends these (at most `MAX_NGRAM`) tokens."""
        for begin in range(len(last) - MIN_NGRAM + 1):
            entry = self.entries.get(last[begin:])
            if entry is not None:
                return entry
        return None

    def ranks(self, ids: Sequence[int], following: Sequence[int]) -> Path:
        """Which child, from the likeliest, would have been right at each place: as far as any would."""
        path: list[int] = []
        last = tuple(ids[-MAX_NGRAM:])
        for token in following[:MAX_DEPTH]:
            entry = self.get(last)
            if entry is None or token not in entry.tokens:
                break
            path.append(entry.tokens.index(token))
            last = (*last, token)[-MAX_NGRAM:]
        return tuple(path)


# The tree


def start_tree(num_nodes: int = NUM_START_NODES) -> list[Path]:
    """The search for a shape begins here: paths of ranks, of least sum of log2(rank + 1) + 1/2 a step.

    The paper starts from 625 nodes too; how they are laid out it does not say.
    """
    found: list[tuple[float, Path]] = [(0.0, ())]
    for _ in range(MAX_DEPTH):
        longer = [(cost + math.log2(rank + 1) + 0.5, (*path, rank)) for cost, path in found for rank in range(NUM_KEPT)]
        found = sorted({*found, *longer})[: num_nodes + 1]
    return [path for _, path in found[1:]]


def fitted_tree(observed: Iterable[Path], num_nodes: int) -> list[Path]:
    """The `num_nodes` nodes of the start tree that lie on most of the observed paths, parents first."""
    start = start_tree()
    counts = dict.fromkeys(start, 0)
    for path in observed:
        for length in range(1, len(path) + 1):
            if path[:length] in counts:
                counts[path[:length]] += 1
    place = {path: i for i, path in enumerate(start)}
    # No node lies on more paths, or stands earlier in the start tree, than its parent.
    return sorted(start, key=lambda path: (-counts[path], place[path]))[:num_nodes]


_FITTED = (
    "0 00 000 0000 00000 000000 0000000 00000000 000000000 0000000000 00000000000 1 01 2 001 10 0001 010 "
    "100 02 0010 00001 1000 00010 3 0100 4 00100 000001 0000001 002 000010 000100 00000001 01000 10000 "
    "000000001 5 0002 001000 100000 0000010 0000100 00000010 000000010 04 010000 0001000 1000000 "
    "10000000 6 40 7 004 102 0004 0010000 0100000 00004 00000100 00001000 00100000 000004 000000100 "
    "000001000 100000000 0000004 20 11 30 200 011 300 05 21 0011 07 1001 00002 021"
)
TREE: tuple[Path, ...] = tuple(tuple(map(int, path)) for path in _FITTED.split(" "))
"""`fitted_tree` on six texts of the model `story`, two of each suite: ranks by path, the most useful first."""


class Slots(NamedTuple):
    """The children of one node of the shape."""

    parent: int
    """Its place in the shape, which stands level by level; -1 is the root."""
    first: int
    """Place of the first child; the others follow it."""
    num_children: int
    depth: int
    """Of the parent."""


@functools.cache
def shape(paths: tuple[Path, ...]) -> tuple[Slots, ...]:
    """Where the children of each node stand, level by level."""
    ordered = sorted(paths, key=lambda path: (len(path), path))
    place = {(): -1, **{path: i for i, path in enumerate(ordered)}}
    found: dict[int, Slots] = {}
    for i, path in enumerate(ordered):
        parent = place[path[:-1]]
        first = found[parent].first if parent in found else i
        found[parent] = Slots(parent, first, i + 1 - first, len(path) - 1)
    return tuple(found.values())


@functools.cache
def usefulness(paths: tuple[Path, ...]) -> tuple[int, ...]:
    """Of each node of the shape its place among `paths`; of children the first ones stand first, as they are drawn."""
    place = {path: i for i, path in enumerate(paths)}
    found: dict[Path, list[int]] = {}
    for path in paths:
        found.setdefault(path[:-1], []).append(place[path])
    left = {parent: sorted(places) for parent, places in found.items()}
    return tuple(left[path[:-1]].pop(0) for path in sorted(paths, key=lambda path: (len(path), path)))


class Child(NamedTuple):
    """A chosen token and its stored probability."""

    token: int
    prob: float


# Children of a node


def likeliest(entry: Entry, num_children: int) -> list[Child]:
    """The most probable tokens."""
    return [Child(*pair) for pair in zip(entry.tokens[:num_children], entry.probs, strict=False)]


def perturbed(entry: Entry, num_children: int, temperature: float, waits: Sequence[float]) -> list[Child]:
    """Gumbel-top-k with given noise, an exponential wait for each token of the entry."""
    scored = [
        (math.log(prob) / temperature - math.log(wait), token, prob)
        for token, prob, wait in zip(entry.tokens, entry.probs, waits, strict=True)
        if prob > 0
    ]
    return [Child(token, prob) for _, token, prob in sorted(scored, reverse=True)[:num_children]]


def drawn(entry: Entry, num_children: int, temperature: float, waits: Sequence[float]) -> list[Child]:
    """The same, of the tokens that the law knows: draws from it without replacement."""
    known = law(entry, temperature)
    children = perturbed(entry, len(entry.tokens), temperature, waits)
    return [child for child in children if child.token in known][:num_children]


def law(entry: Entry, temperature: float) -> dict[int, float]:
    """p^(1/temperature), normalised, by token; without those for which that is no number above 0."""
    pairs = [(token, prob) for token, prob in zip(entry.tokens, entry.probs, strict=True) if prob > 0]
    top = max(prob for _, prob in pairs)
    weights = {token: math.exp(math.log(prob / top) / temperature) for token, prob in pairs}
    total = sum(weights.values())
    return {token: weight / total for token, weight in weights.items() if weight > sys.float_info.min}


class Stand(Drafter):
    """Trees drawn from an n-gram memory."""

    name = "stand"
    title = "STAND"
    summary = "Remembers the target's own distributions by n-gram, and draws a tree of drafts from them."
    source = "arXiv 2506.04708"
    states_draws = True
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
        top = scored.logits[rows].softmax(dim=1).topk(min(NUM_KEPT, self._vocab_size), dim=1)
        first = len(ids) - len(emitted)
        for end, tokens, probs in zip(range(first, len(ids)), top.indices.tolist(), top.values.tolist(), strict=True):
            self.memory.add(ids, end, tokens, probs)


DRAFTER = Stand
