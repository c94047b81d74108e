"""Draft trees: proposed tokens with parents, and how each token was drawn.

The root is the last emitted token, not yet in the KV cache; it is not in the tree, and parent -1
means a child of the root. A chain is a tree, and so is no draft at all. Knows ids and shape; what a
drafter says it drew from is in draws.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from torch import Tensor

from engine.draws import Draws, Scheme
from engine.errors import RunFailed
from engine.events import Status

if TYPE_CHECKING:
    from engine.runtime.extra import ExtraRows

MAX_BUDGET = 128
"""Most nodes of a step."""


@dataclass(frozen=True, eq=False)
class Begun:
    """A pass over root and nodes that has gone through the first layers already: they wait there, in this order.

    `states (n + 1, h)`: as they enter layer `layer`, the root's first. `asked`: layers behind it whose input the
    drafter wants to see (`Scored.asked`); None, where it does not look.
    """

    layer: int
    states: Tensor = field(repr=False)
    asked: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class DraftTree:
    """n proposed tokens.

    `tokens (n,)`, `parents (n,)` with `parents[i] < i`. `draft_probs (n,)`: the drafter's own
    probability of each token, to be shown, where it has one. `draws`: how and from what the nodes were drawn; None
    where tokens were chosen deterministically, and then siblings differ (`within` sees to it).
    `proposed_by`: the method's name, where a session has two of them, or both names. `extra`: rows of the drafter's
    own that look ahead from root or nodes in the target pass; an empty tree may have some too. `begun`: what the
    target's first layers have made of root and nodes, where they drafted; a tree of other nodes is read anew.
    """

    tokens: tuple[int, ...] = ()
    parents: tuple[int, ...] = ()
    draft_probs: tuple[float | None, ...] | None = None
    draws: Draws | None = field(default=None, repr=False)
    proposed_by: str | None = None
    extra: ExtraRows | None = field(default=None, repr=False)
    begun: Begun | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.parents):
            raise RunFailed(f"A draft tree has {len(self.tokens)} tokens and {len(self.parents)} parents.")
        if any(not -1 <= parent < i for i, parent in enumerate(self.parents)):
            raise RunFailed(f"Parents {self.parents} do not all stand before their children.")
        if self.draws is not None:
            self.draws.check(self.parents)

    def __len__(self) -> int:
        return len(self.tokens)

    def begun_at(self, begun: Begun) -> DraftTree:
        """The same, read through the target's first layers."""
        return replace(self, begun=begun)

    @property
    def is_sampled(self) -> bool:
        """Whether the drafter states what each node was drawn from."""
        return self.draws is not None

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Depth of each node; a child of the root has depth 1."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(1 if parent < 0 else depths[parent] + 1)
        return tuple(depths)

    @property
    def depth(self) -> int:
        """Longest root-to-leaf distance; 0 for an empty tree."""
        return max(self.depths, default=0)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Children of the root, then of each node: entry i + 1 belongs to node i."""
        found: list[list[int]] = [[] for _ in range(len(self) + 1)]
        for i, parent in enumerate(self.parents):
            found[parent + 1].append(i)
        return tuple(tuple(nodes) for nodes in found)

    @cached_property
    def draws_below(self) -> tuple[tuple[int, ...], ...]:
        """Places in `draws` of the draws below the root, then below each node, in the order they were made."""
        found: list[list[int]] = [[] for _ in range(len(self) + 1)]
        for draw, node in enumerate(self.draws.order if self.draws else ()):
            found[self.parents[node] + 1].append(draw)
        return tuple(map(tuple, found))

    def path_to(self, node: int) -> tuple[int, ...]:
        """Nodes from the root's child down to `node`; empty for the root (-1)."""
        path: list[int] = []
        while node >= 0:
            path.append(node)
            node = self.parents[node]
        return tuple(reversed(path))

    def statuses(self, path: Sequence[int], num_emitted: int | None = None) -> tuple[Status, ...]:
        """Accepted: on the path. Rejected: the parent survived, the node did not. Else unreached.

        Where no more tokens were emitted than the path has, the text ended with the path's last node, and nothing
        was asked of that node's children.
        """
        accepted, asked = set(path), {*[-1, *path][:num_emitted]}
        return tuple(
            "accepted" if i in accepted else "rejected" if parent in asked else "unreached"
            for i, parent in enumerate(self.parents)
        )

    def pruned(self, max_nodes: int, max_depth: int) -> DraftTree:
        """The first `max_nodes` nodes that are no deeper than `max_depth`.

        Decided by place and depth alone, never by token, so sampled nodes stay exactly drawn. For the same reason a
        tree that has no room left keeps no draw behind the one that filled it, not even one that met a node which is
        there: whether it did was decided by its token.
        """
        kept = [i for i, depth in enumerate(self.depths) if depth <= max_depth][:max_nodes]
        tree = self.only(kept)
        if tree.draws is None or not kept or len(kept) < max_nodes:
            return tree
        return replace(tree, draws=tree.draws.until(len(kept) - 1))

    def within(self, num_ids: int) -> DraftTree:
        """Without nodes whose token the target has no row for (ids are 0 … num_ids - 1), nor what hangs below them.

        The one place where foreign ids and wasted nodes are found. Raises RunFailed for a sampled tree with foreign
        ids, since dropping nodes by token would change what they are draws of, and for equal siblings that were not
        drawn: rules look for the first child that holds a token.
        """
        if not self.is_sampled and len(set(zip(self.parents, self.tokens, strict=True))) < len(self):
            raise RunFailed("A draft has equal siblings, of which only the first could ever be accepted.")
        if all(0 <= token < num_ids for token in self.tokens):
            return self
        if self.is_sampled:
            raise RunFailed(f"A draft was drawn from other tokens than the target's {num_ids}: {max(self.tokens)}.")
        kept: list[int] = []
        alive = {-1}
        for i, (token, parent) in enumerate(zip(self.tokens, self.parents, strict=True)):
            if parent in alive and 0 <= token < num_ids:
                alive.add(i)
                kept.append(i)
        return self.only(kept)

    @staticmethod
    def merged(
        paths: Iterable[Sequence[int]],
        draft_probs: Iterable[Sequence[float]] | None = None,
        draws: tuple[Tensor, Iterable[Sequence[int]], Scheme] | None = None,
    ) -> DraftTree:
        """The tree of several texts that follow the root: those that begin alike share their nodes.

        `draft_probs` and the rows that `draws` names (rows (r, v), row of each token, scheme) are given path by path,
        token by token, as the paths are. Paths were drawn one behind the other. Of equal tokens the first gives
        its node's probability; all below one parent are draws from the row that the first there names, unless each has
        one of its own.
        """
        growing = GrowingTree()
        order = [node for path in paths for node in growing.add(-1, path)]
        firsts = {node: place for place, node in reversed([*enumerate(order)])}
        tree = growing.grown()
        if draft_probs is not None:
            probs = [prob for path in draft_probs for prob in path]
            tree = replace(tree, draft_probs=tuple(probs[firsts[node]] for node in range(len(tree))))
        if draws is None:
            return tree
        rows, row_of, scheme = draws
        named = [row for path in row_of for row in path]
        if scheme != "conditional":
            shared: dict[int, int] = {}
            named = [shared.setdefault(tree.parents[node], row) for node, row in zip(order, named, strict=True)]
        return replace(tree, draws=Draws(rows, tuple(named), scheme, tuple(order)))

    def only(self, kept: list[int]) -> DraftTree:
        """The tree of these nodes, ascending, each of them with its parent."""
        if len(kept) == len(self):
            return self
        place = {-1: -1, **{old: new for new, old in enumerate(kept)}}
        return DraftTree(
            tokens=tuple(self.tokens[i] for i in kept),
            parents=tuple(place[self.parents[i]] for i in kept),
            draft_probs=self.draft_probs and tuple(self.draft_probs[i] for i in kept),
            draws=self.draws and self.draws.only(place),
            proposed_by=self.proposed_by,
            extra=self.extra and self.extra.moved(place),
        )


EMPTY_TREE = DraftTree()


class GrowingTree:
    """A tree of texts: those that begin alike share their nodes, so no two siblings are equal.

    Rules look for the first child that holds a token; what hangs below an equal sibling would never be reached.
    """

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self._child: dict[tuple[int, int], int] = {}

    def add(self, parent: int, text: Sequence[int]) -> list[int]:
        """Put a text below a node (-1: root); the node of each of its tokens."""
        nodes = []
        for token in text:
            if (parent, token) not in self._child:
                self._child[parent, token] = len(self.tokens)
                self.tokens.append(token)
                self.parents.append(parent)
            parent = self._child[parent, token]
            nodes.append(parent)
        return nodes

    def num_new(self, parent: int, text: Sequence[int]) -> int:
        """Nodes that adding a text would make."""
        for place, token in enumerate(text):
            if (parent, token) not in self._child:
                return len(text) - place
            parent = self._child[parent, token]
        return 0

    def grown(self) -> DraftTree:
        """The tree as it stands."""
        return DraftTree(tuple(self.tokens), tuple(self.parents))


def chain(
    tokens: Sequence[int], draft_probs: Sequence[float] | None = None, drawn_from: Tensor | None = None
) -> DraftTree:
    """A tree in which each node has at most one child; `drawn_from (n, v)`: what each was drawn from."""
    probs = None if draft_probs is None else tuple(draft_probs)
    draws = None if drawn_from is None else Draws(drawn_from, tuple(range(len(tokens))), "iid")
    return DraftTree(tuple(tokens), tuple(range(-1, len(tokens) - 1)), probs, draws)
