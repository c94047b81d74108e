"""Sequoia's arithmetic: how often a node's b-th child is accepted, and the best tree by that.

A tree is told by the number of children at each rank path, (0, 2) being the third child of the root's first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.tree import DraftTree

Floats = np.ndarray[Any, np.dtype[np.float64]]
Counts = dict[tuple[int, ...], int]

FIRST_RATE, RATE_DECAY, PRIOR_NODES = 0.6, 0.35, 8.0
"""Before anything is known: the b-th child is the accepted one at 0.6 · 0.35^b of its parents; worth so many nodes."""


class Acceptance:
    """Counts of a session."""

    def __init__(self, most: int) -> None:
        """`most`: children of a node that are told apart."""
        self._offered = np.full(most, PRIOR_NODES)
        self._accepted = PRIOR_NODES * FIRST_RATE * RATE_DECAY ** np.arange(most)

    @property
    def rates(self) -> Floats:
        """(most,): of the nodes whose b-th child was there to be accepted, the share where it was."""
        return np.asarray(self._accepted / self._offered)

    def learn(self, tree: DraftTree, path: Sequence[int]) -> None:
        """A step is over: the children of the root and of each node on the path were looked at."""
        for node in (-1, *path):
            children = tree.children[node + 1][: len(self._offered)]
            self._offered[: len(children)] += 1
            for place, child in enumerate(children):
                self._accepted[place] += child in path


def best_tree(rates: Floats, costs: Floats, depth: int, level_cost: float = 0.0) -> Counts:
    """The tree with the most expected tokens for its time, by how often each child is accepted (b,).

    `costs[n]`: a pass over root and n nodes ÷ one over the root alone; `level_cost`: of a level of drafting, in that
    unit. Of equally good trees the larger. Where drafting does not pay, a single node: it is how one would learn of it.
    """
    scores, choices = tables(rates, len(costs), depth)
    deep = np.arange(1, depth + 1)[:, None]
    speed = scores[1:, 1:] / (costs[1:] + deep * level_cost)
    best = np.unravel_index(speed.size - 1 - int(np.argmax(speed[::-1, ::-1])), speed.shape)
    found: Counts = {}
    _trace(choices, int(best[0]) + 1, int(best[1]) + 2, (), found)
    return found


def tables(rates: Floats, size: int, depth: int) -> tuple[Floats, dict[tuple[int, int, int], int]]:
    """Expected tokens (depth + 1, size) of the best tree of n + 1 nodes, root included, at most so deep.

    `T[b][m] = max_y T[b - 1][y] + a_b · best[d - 1][m - y]`: the b-th child takes m - y nodes. Choices: of depth, nodes
    and number of children, how many nodes stand without the last child; with 0 children, the best number of them.
    """
    best = np.full((depth + 1, size), -np.inf)
    best[0, 0] = 1.0
    choices: dict[tuple[int, int, int], int] = {}
    for d in range(1, depth + 1):
        rows = [best[0]]
        for b, rate in enumerate(rates, start=1):
            rows.append(_with_one_more(rows[-1], rate * best[d - 1], choices, (d, b)))
        stacked = np.stack(rows)
        best[d] = stacked.max(axis=0)
        for m, b in enumerate(stacked.argmax(axis=0).tolist()):
            choices[d, m + 1, 0] = b
    return best, choices


def _with_one_more(row: Floats, below: Floats, choices: dict[tuple[int, int, int], int], at: tuple[int, int]) -> Floats:
    """Trees of one child more: entry m - 1 is the best split of m nodes."""
    size = len(row)
    sums = np.full((size, size), -np.inf)
    for kept in range(1, size):  # nodes without the new child's part
        sums[kept:, kept] = row[kept - 1] + below[: size - kept]
    found: Floats = sums.max(axis=1)
    for m, kept in enumerate(sums.argmax(axis=1).tolist()):
        choices[at[0], m + 1, at[1]] = kept
    return found


def _trace(
    choices: dict[tuple[int, int, int], int], depth: int, num_nodes: int, at: tuple[int, ...], found: Counts
) -> None:
    if depth == 0 or num_nodes == 1:
        return
    num_children = choices[depth, num_nodes, 0]
    found[at] = num_children
    for b in range(num_children, 0, -1):
        kept = choices[depth, num_nodes, b]
        _trace(choices, depth - 1, num_nodes - kept, (*at, b - 1), found)
        num_nodes = kept
