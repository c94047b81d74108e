"""Draft trees: proposed tokens with parents, and how each token was drawn.

The root is the last emitted token, not yet in the KV cache; it is not in the tree, and parent -1
means a child of the root. A chain is a tree, and so is no draft at all. Knows ids and shape; the
only tensor is what a drafter says it drew from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from torch import Tensor

from engine.errors import RunFailed
from engine.events import Status

if TYPE_CHECKING:
    from engine.runtime.extra import ExtraRows

MAX_BUDGET = 128
"""Most nodes of a step."""


@dataclass(frozen=True, eq=False)
class DraftTree:
    """n proposed tokens.

    `tokens (n,)`, `parents (n,)` with `parents[i] < i`. `draft_probs (n,)`: the drafter's own
    probability of each token, to be shown. `drawn_from (n, v)`: the exact conditional distribution
    that each node was sampled from, given everything known when it was drawn, its earlier siblings
    included; None where tokens were chosen deterministically. Siblings stand in draw order.
    `proposed_by`: the method's name, where a session has two of them. `extra`: rows of the drafter's
    own that look ahead from root or nodes in the target pass; an empty tree may have some too.
    """

    tokens: tuple[int, ...] = ()
    parents: tuple[int, ...] = ()
    draft_probs: tuple[float, ...] | None = None
    drawn_from: Tensor | None = field(default=None, repr=False)
    proposed_by: str | None = None
    extra: ExtraRows | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.parents):
            raise RunFailed(f"A draft tree has {len(self.tokens)} tokens and {len(self.parents)} parents.")
        if any(not -1 <= parent < i for i, parent in enumerate(self.parents)):
            raise RunFailed(f"Parents {self.parents} do not all stand before their children.")
        if self.drawn_from is not None and len(self.drawn_from) != len(self.tokens):
            raise RunFailed(f"{len(self.drawn_from)} draw distributions for {len(self.tokens)} nodes.")

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def is_sampled(self) -> bool:
        """Whether the drafter states what each node was drawn from."""
        return self.drawn_from is not None

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

        Decided by place and depth alone, never by token, so sampled nodes stay exactly drawn.
        """
        return self.only([i for i, depth in enumerate(self.depths) if depth <= max_depth][:max_nodes])

    def within(self, num_ids: int) -> DraftTree:
        """Without nodes whose token the target has no row for (ids are 0 … num_ids - 1), nor what hangs below them.

        Raises RunFailed for a sampled tree: dropping nodes by token would change what they are draws of.
        """
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

    def only(self, kept: list[int]) -> DraftTree:
        """The tree of these nodes, ascending, each of them with its parent."""
        if len(kept) == len(self):
            return self
        place = {-1: -1, **{old: new for new, old in enumerate(kept)}}
        return DraftTree(
            tokens=tuple(self.tokens[i] for i in kept),
            parents=tuple(place[self.parents[i]] for i in kept),
            draft_probs=self.draft_probs and tuple(self.draft_probs[i] for i in kept),
            drawn_from=None if self.drawn_from is None else self.drawn_from[kept],
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
    """A tree in which each node has at most one child."""
    probs = None if draft_probs is None else tuple(draft_probs)
    return DraftTree(tuple(tokens), tuple(range(-1, len(tokens) - 1)), probs, drawn_from)
