"""Trees of guesses for several places, where guesses of different depths are right independently of each other.

Every node of a depth draws on one list of candidates. Which nodes are drafted is either one measured shape, or each
step's likeliest: what `shapes.grow` is for a table of accuracies, compiled, since here the table is a step's own
probabilities and behind a small target's pass Python's objects take a hundredth of it (docs/log.md, 2026-11-22). Knows
probabilities, ranks and candidates; no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.drafters.heads._candidates import LogProbs, Tokens
from engine.drafters.shapes import Shape
from engine.options import option
from engine.runtime.compiled import njit
from engine.tree import DraftTree

if TYPE_CHECKING:
    from engine.runtime.cpu.softmax import Doubles, Integers
    from engine.runtime.extra import ExtraRows


def _unmeasured(paths: str) -> Shape:
    """A shape of rank paths of one figure a rank, best first, whose shares nobody knows."""
    found = tuple(tuple(map(int, path)) for path in paths.split())
    return Shape(found, (0.0,) * len(found))


EAGLE_1 = _unmeasured("0 1 2 3 00 01 02 10 11 20 21 30 000 001 002 010 011 020 021 100 0000 0001 0002 00000 00001")
"""The 25 nodes of EAGLE-1's released code, which others took over."""
MEDUSA_63 = _unmeasured(
    "0 00 1 01 2 000 10 02 3 03 4 04 20 05 001 5 06 6 07 010 11 7 08 002 30 09 8 9 100 020 12 003 40 21 004 005 0000 "
    "011 006 030 50 13 007 008 009 60 040 14 70 012 200 31 22 80 050 15 101 021 90 060 0001 16 070"
)
"""The 63 nodes of Medusa's released code, grown for Vicuna 7B, which Hydra's drafts too."""
MOST_RANKS, LEAST_SHARE = 8, 0.01
"""Candidates of a depth that the likeliest tree is chosen from, and what a path's probability must be."""


def tree_option(help: str = "The likeliest nodes of each step, or the paper's one measured shape.") -> Any:
    """The option `tree` of a drafter that has both."""
    return option("likeliest", help, choices=("likeliest", "static"))


def num_ranks(options: Any, shape: Shape) -> int:
    """How many candidates of each depth are looked at, by the options `tree` and `top_k`."""
    return 1 + int(shape.ranks.max(initial=0)) if options.tree == "static" else options.top_k or MOST_RANKS


def chosen(options: Any, shape: Shape, probs: Doubles) -> Shape | Grown:
    """The nodes to draft of probabilities (d, r), each row falling: the shape's, or as many, the likeliest."""
    return shape if options.tree == "static" else grow(probs, len(shape), LEAST_SHARE)


def filled(tokens: Tokens, probs: LogProbs, nodes: Shape | Grown, extra: ExtraRows | None = None) -> DraftTree:
    """A draft of nodes with their candidates and probabilities, of (d, r) each."""
    at, parents = (nodes.depths, nodes.ranks), nodes.parents
    parents = parents if isinstance(parents, tuple) else tuple(parents.tolist())
    return DraftTree(tuple(tokens[at].tolist()), parents, tuple(probs[at].tolist()), extra=extra)


class Grown(NamedTuple):
    """n nodes, the likeliest first, so parents before children; each entry is (n,)."""

    depths: Integers
    """Depth less one: the row of the table that the guess is of."""
    ranks: Integers
    parents: Integers
    """-1: a child of the root."""
    shares: Doubles
    """Probability that the node and all above it are right."""


def grow(probs: Doubles, num_nodes: int, least: float = 0.0) -> Grown:
    """The likeliest nodes of `probs (d, r)`, each row falling, at most so many.

    Nodes less likely than `least` are left out, but not the first.
    """
    depths, ranks, parents = np.empty((3, num_nodes), np.int64)
    shares = np.empty(num_nodes)
    count = _grow(probs, least, depths, ranks, parents, shares)
    return Grown(depths[:count], ranks[:count], parents[:count], shares[:count])


def ends(grown: Grown, num_ends: int) -> tuple[int, ...]:
    """The root (-1) and the nodes that a step is likeliest to end at, so many in all, ascending."""
    if num_ends > len(grown.shares):
        return tuple(range(-1, len(grown.shares)))
    left = grown.shares.copy()
    np.subtract.at(left, grown.parents[grown.parents >= 0], grown.shares[grown.parents >= 0])
    return (-1, *sorted(np.argsort(-left, kind="stable")[: num_ends - 1].tolist()))


@njit(cache=True, nogil=True)
def _grow(probs: Doubles, least: float, depths: Integers, ranks: Integers, parents: Integers, shares: Doubles) -> int:
    """Fill the nodes in and count them. A node waits as its parent's next child: `waiting` is that child's rank."""
    most_nodes, (most_depth, most_ranks) = len(shares), probs.shape
    waiting = np.zeros(most_nodes + 1, np.int64)
    for count in range(most_nodes):
        best, best_parent = -1.0, -2
        for parent in range(-1, count):
            depth, rank = (depths[parent] + 1 if parent >= 0 else 0), waiting[parent + 1]
            if depth == most_depth or rank == most_ranks:
                continue
            share = probs[depth, rank] * (shares[parent] if parent >= 0 else 1.0)
            if share > best:
                best, best_parent = share, parent
        if best_parent == -2 or (best < least and count):
            return count
        depths[count] = depths[best_parent] + 1 if best_parent >= 0 else 0
        ranks[count], parents[count], shares[count] = waiting[best_parent + 1], best_parent, best
        waiting[best_parent + 1] += 1
    return most_nodes
