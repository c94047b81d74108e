"""The shape of a static draft tree as data: which ranks stand where, and how often each is right.

A rank path names a node by its ancestors' ranks and its own, as Medusa's choices do (arXiv 2401.10774,
Section 2.1.2): (0, 2) is the third candidate of the second position, behind the first candidate of the
first. A shape lists such paths, the most often accepted first, so that its first n are the best tree
of n nodes. Knows ranks and shares; no tokens, no model.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from engine.errors import BadInput

RankPath = tuple[int, ...]
MAX_NODES = 64


@dataclass(frozen=True)
class Shape:
    """Rank paths, parents before children, with the share of steps in which each node is accepted."""

    paths: tuple[RankPath, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        seen: set[RankPath] = {()}
        for path in self.paths:
            if path in seen or path[:-1] not in seen or min(path) < 0:
                raise BadInput(f"Node {list(path)} of a tree shape stands twice or before its parent.")
            seen.add(path)
        if len(self.paths) != len(self.shares):
            raise BadInput(f"A tree shape has {len(self.paths)} nodes and {len(self.shares)} shares.")

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """Parent of each node, -1 for a child of the root."""
        place = {(): -1, **{path: node for node, path in enumerate(self.paths)}}
        return tuple(place[path[:-1]] for path in self.paths)

    @cached_property
    def depths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(n,) depth of each node less one: the head that foresees it."""
        return np.array([len(path) - 1 for path in self.paths], np.int64)

    @cached_property
    def ranks(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(n,) rank of each node among its head's candidates."""
        return np.array([path[-1] for path in self.paths], np.int64)

    @property
    def depth(self) -> int:
        """Longest path."""
        return max(map(len, self.paths), default=0)

    @property
    def expected_emitted(self) -> float:
        """Expected tokens of a step, the target's own included."""
        return 1 + sum(self.shares)

    def limited(self, num_nodes: int = MAX_NODES, depth: int = MAX_NODES, top_k: int = MAX_NODES) -> Shape:
        """The first nodes that are no deeper and of no higher rank than this."""
        kept = [i for i, path in enumerate(self.paths) if len(path) <= depth and max(path) < top_k][:num_nodes]
        return Shape(tuple(self.paths[i] for i in kept), tuple(self.shares[i] for i in kept))

    def within(self, num_nodes: int, depth: int) -> Shape:
        """As `limited`, itself where it fits."""
        return self if num_nodes >= len(self) and depth >= self.depth else self.limited(num_nodes, depth)

    def rows(self) -> list[list[Any]]:
        """[path, share] of each node: plain values, fit for JSON."""
        return [[list(path), round(share, 5)] for path, share in zip(self.paths, self.shares, strict=True)]


def from_rows(rows: Any) -> Shape:
    """The shape that `Shape.rows` wrote. Raises BadInput."""
    try:
        return Shape(tuple(tuple(map(int, path)) for path, _ in rows), tuple(float(share) for _, share in rows))
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"A tree shape cannot be read: {error!s:.100}; wanted a list of [path, share].") from error


def grow(accuracy: Sequence[Sequence[float]], num_nodes: int, least: float = 0.0) -> Shape:
    """The `num_nodes` likeliest nodes where heads are right independently of each other.

    `accuracy[d][r]`: how often the candidate of rank r of head d is right. Greedy growth by the product along
    the path, which for products is the best tree there is (arXiv 2401.10774, Section 2.3.3). Nodes that are right
    less often than `least` are left out, but not the first.
    """
    paths: list[RankPath] = []
    shares: list[float] = []
    waiting: list[tuple[float, RankPath]] = [(-right, (rank,)) for rank, right in enumerate(accuracy[0])]
    heapq.heapify(waiting)
    while waiting and len(paths) < num_nodes and (-waiting[0][0] >= least or not paths):
        negative, path = heapq.heappop(waiting)
        paths.append(path)
        shares.append(-negative)
        if len(path) < len(accuracy):
            for rank, right in enumerate(accuracy[len(path)]):
                if -negative * right >= least:
                    heapq.heappush(waiting, (negative * right, (*path, rank)))
    return Shape(tuple(paths), tuple(shares))


def measured(ranks: Tensor, num_nodes: int = MAX_NODES, top_k: int = 10) -> Shape:
    """The `num_nodes` nodes that were right most often, counted jointly: heads need not be independent.

    `ranks (n, d)`: at each of n places, the rank that the true token has with each head.
    """
    counts: Counter[RankPath] = Counter()
    for row in ranks.tolist():
        for depth in range(1, len(row) + 1):
            if row[depth - 1] >= top_k:
                break
            counts[tuple(row[:depth])] += 1
    # A parent counts at least what its child does; at a tie it must stand first.
    best = sorted(counts, key=lambda path: (-counts[path], len(path), path))[:num_nodes]
    return Shape(tuple(best), tuple(counts[path] / len(ranks) for path in best))


def accuracy_of(ranks: Tensor, top_k: int = 10) -> list[list[float]]:
    """`grow`'s table from `measured`'s ranks: how often the candidate of rank r of head d is the true token."""
    return [[float((column == rank).float().mean()) for rank in range(top_k)] for column in ranks.T]


def best_size(shares: Sequence[float], costs: Sequence[float], draft_cost: float = 0.0) -> int:
    """Number of nodes that promises most tokens per time (Sequoia's choice, arXiv 2402.12374, Section 4.2).

    `shares[i]`: how often node i is accepted; `costs[n]`: a pass over root and n nodes ÷ one over the root alone
    (`Costs.rows`); `draft_cost` in the same unit, spent whatever the size: what is chosen is how much to draft, not
    whether to. 0 where no node is worth its row.
    """
    most = min(len(shares), len(costs) - 1)
    emitted = 1 + np.concatenate(([0.0], np.cumsum(shares[:most])))
    cost = np.asarray(costs[: most + 1]) + draft_cost
    return int(np.argmax(emitted / cost))


def choose(shape: Shape, costs: Sequence[float], draft_cost: float = 0.0) -> Shape:
    """The first nodes of a shape, as many as pay on a machine whose passes cost this."""
    return shape.limited(best_size(shape.shares, costs, draft_cost))


def choose_depth(shape: Shape, costs: Sequence[float], level_cost: float) -> Shape:
    """As `choose`, of a drafter whose every level costs `level_cost`: as deep as pays."""
    chosen = [choose(shape.limited(depth=depth), costs, depth * level_cost) for depth in range(1, shape.depth + 1)]
    return max(chosen, key=lambda found: found.expected_emitted / (costs[len(found)] + found.depth * level_cost))
