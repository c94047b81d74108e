"""GSD: a graph of a small model's drafts in which equal continuations are drafted once (arXiv 2407.16207).

Level by level each node of the frontier gets its `width` best children. A child that repeats a node elsewhere, the
same token behind the same `repeat` tokens, is not expanded anew: it stands for that node, and what was drafted behind
the one counts for the other. A weak child (below `sibling` of its best sibling) is left out; behind one that is
unlikely to be reached nothing is drafted. For verification the graph is unrolled into a tree, of which the best
`nodes` are proposed.

Behind a repeated node the draft model has not read this node's own text: its probabilities there are another text's.
So they rank nodes and never weigh against the target's; the method chooses its drafts, draws none, and is exact. The
released code accepts them by ratio and never corrects from a residual, which is not.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from engine.drafters.base import Context, Room
from engine.drafters.budget import budget_option
from engine.drafters.growing import Choice, Growing
from engine.drafters.small_models._model import SmallModel
from engine.drafters.small_models._options import ModelOptions
from engine.options import option
from engine.tree import DraftTree

if TYPE_CHECKING:
    from engine.target import Target


@dataclass(frozen=True)
class GsdOptions(ModelOptions):
    """How wide and deep the graph is, and what counts as the same."""

    width: int = option(4, "Most children of a node.", low=1, high=8, unit="nodes")
    depth: int = option(6, "Levels of the graph.", low=1, high=16, unit="tokens")
    nodes: int = option(24, "Most nodes of the tree.", low=1, high=64, unit="nodes")
    repeat: int = option(
        1, "Tokens before a node that must be another's too for the two to be one.", low=0, high=4, unit="tokens"
    )
    sibling: float = option(0.2, "Leave out children below this share of the best.", low=0.0, high=1.0)
    least: float = option(0.05, "Draft nothing behind nodes less likely than this.", low=0.0, high=1.0)
    budget: str = budget_option()


@dataclass
class Link:
    """A child that stands for a node elsewhere."""

    parent: int
    choice: Choice
    stands_for: int


@dataclass
class Graph:
    """The nodes that were drafted, each once, and the links between them."""

    growing: Growing
    repeat: int
    links: list[Link] = field(default_factory=list)
    chances: dict[int, float] = field(default_factory=dict)
    """Of each node, behind its parent."""
    _known: dict[tuple[int, ...], int] = field(default_factory=dict)

    def add(self, parent: int, choice: Choice, law: Tensor) -> int | None:
        """The node that a child is, where it is a new one."""
        text = (*self.growing.context.ids[-self.repeat :], *self.growing.path(parent), choice.token)
        ending = tuple(text[-self.repeat - 1 :])
        other = self._known.get(ending)
        if other is not None and not self._is_above(other, parent):
            self.links.append(Link(parent, choice, other))
            return None
        node = self.growing.add(parent, choice, law)
        self.chances[node] = choice.chance
        self._known.setdefault(ending, node)
        return node

    def _is_above(self, node: int, below: int) -> bool:
        while below > node:
            below = self.growing.parents[below]
        return below == node


class Gsd(SmallModel):
    """Drafts that share what they continue alike."""

    name = "gsd"
    title = "GSD"
    summary = "A graph of a small language model's drafts: continuations that repeat are drafted once and verified all."
    source = "arXiv 2407.16207"
    Options = GsdOptions
    options: GsdOptions

    def __init__(self, options: GsdOptions, target: Target) -> None:
        self.most_depth = options.depth
        super().__init__(options, target)

    def _draft(self, context: Context, logits: Tensor, room: Room) -> DraftTree:
        num_nodes = min(self.options.nodes, room.nodes)
        graph, frontier = Graph(self._begin(context), self.options.repeat), [-1]
        for depth in range(1, room.depth + 1):
            level = self._level(graph, frontier, graph.growing.laws(frontier, logits))
            frontier = [node for node in level if graph.growing.values[node] >= self.options.least][:num_nodes]
            if not frontier or depth == room.depth:
                break
            logits = self._feed_nodes(frontier, graph.growing)
        unrolled, nodes = unroll(graph, room.depth, num_nodes)
        # What stands behind a link was drafted behind another text, and its rows are that text's.
        self._rows = [self._rows[node] if node is not None and node < len(self._rows) else None for node in nodes]
        return self._proposed(unrolled, num_nodes)

    def _level(self, graph: Graph, frontier: Sequence[int], laws: Tensor) -> list[int]:
        """New nodes, those that promise most first."""
        found: list[tuple[int, Choice, Tensor]] = []
        for node, law in zip(frontier, laws, strict=True):
            choices = graph.growing.choices(node, law, self.options.width)
            best = max((choice.chance for choice in choices), default=0.0)
            found += [(node, choice, law) for choice in choices if choice.chance >= self.options.sibling * best]
        values = graph.growing.values
        found.sort(key=lambda child: -values[child[0]] * child[1].chance)
        added = [graph.add(*child) for child in found]
        return [node for node in added if node is not None]


def unroll(graph: Graph, depth: int, num_nodes: int) -> tuple[Growing, list[int | None]]:
    """The graph's likeliest texts as a tree, at most so deep, and the graph's node that each of its nodes is.

    None for one behind a link, or one that is the link itself. No node is more likely than its parent, so the likeliest
    `num_nodes` are found by going on from the likeliest that is known.
    """
    whole, links = graph.growing, graph.links
    below: dict[int, list[tuple[Choice, int, bool]]] = {}
    for node, parent in enumerate(whole.parents):
        choice = Choice(whole.tokens[node], whole.probs[node], graph.chances[node])
        below.setdefault(parent, []).append((choice, node, False))
    for link in links:
        below.setdefault(link.parent, []).append((link.choice, link.stands_for, True))
    tree, nodes = Growing(whole.context, whole.name, whole.trust), list[int | None]()
    heap: list[tuple[float, int, int, Choice, int, bool]] = []
    ages = itertools.count()

    def offer(of: int, parent: int, *, is_own: bool) -> None:
        for choice, node, is_link in below.get(of, ()):
            value = tree.values[parent] * choice.chance
            heapq.heappush(heap, (-value, next(ages), parent, choice, node, is_own and not is_link))

    offer(-1, -1, is_own=True)
    while heap and len(tree) < num_nodes:
        _, _, parent, choice, of, is_own = heapq.heappop(heap)
        node = tree.add(parent, choice)
        nodes.append(of if is_own else None)
        if tree.depths[node] < depth:
            offer(of, node, is_own=is_own)
    return tree, nodes


DRAFTER = Gsd
