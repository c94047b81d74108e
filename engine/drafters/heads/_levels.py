"""Drafts that grow level by level: branches, which of them are gone on with, and the tree of the best nodes.

A method says what follows some branches, a pass for each level. Knows tokens, log-probabilities and places; no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.drafters.heads._candidates import Candidates, LogProbs, Tokens
from engine.drafters.shapes import RankPath, Shape
from engine.tree import DraftTree

Advance = Callable[[int, Tokens, Tokens], Candidates]
"""(level, place of each row's parent among the rows before, its token) → the candidates behind each row.

The one row of level 0 is the root."""


@dataclass(frozen=True)
class Level:
    """The branches that end at one depth: k candidates behind each branch of the level before that was gone on with."""

    tokens: Tokens
    parents: Tokens
    """Place of each branch's beginning in the level before; 0, the root, at the first."""
    values: LogProbs
    """Log-probability of the whole branch."""


def grow(advance: Advance, root_id: int, depth: int, most: int, num_nodes: int) -> list[Level]:
    """Levels in which the `most` best branches are gone on with that may still lead to one of the best nodes.

    A level that no such branch leads to is not made. What follows a branch is no likelier than it, so the `num_nodes`
    likeliest nodes are those of all that could be grown.
    """
    best = np.full(num_nodes, -np.inf)
    rows, tokens = np.zeros(1, np.int64), np.array([root_id])
    values, kept = np.zeros(1), np.zeros(1, np.int64)
    levels: list[Level] = []
    for number in range(depth):
        found, log_probs = advance(number, rows, tokens)
        k = found.shape[1]
        levels.append(Level(found.reshape(-1), np.repeat(kept, k), (values[:, None] + log_probs).reshape(-1)))
        best = np.sort(np.concatenate((best, levels[-1].values)))[::-1][:num_nodes]
        kept = np.argsort(-levels[-1].values, kind="stable")[:most]
        kept = kept[levels[-1].values[kept] > best[-1]]
        if not len(kept):
            break
        rows, tokens, values = kept // k, levels[-1].tokens[kept], levels[-1].values[kept]
    return levels


def best_nodes(
    levels: Sequence[Level], num_nodes: int, least: float = -np.inf, probs: Sequence[LogProbs] = ()
) -> DraftTree:
    """The nodes of highest path probability, best first; `probs` as `tree_of` takes them.

    None whose branch has a log-probability below `least`, save the first, and none that cannot be.
    """
    ranked = [(-value, depth, place) for depth, level in enumerate(levels) for place, value in enumerate(level.values)]
    best = sorted(ranked)[:num_nodes]
    kept = [node for number, node in enumerate(best) if node[0] < np.inf and (not number or -node[0] >= least)]
    return tree_of(levels, [(depth, place) for _, depth, place in kept], probs)


def along(advance: Advance, root_id: int, shape: Shape) -> DraftTree:
    """The tree of one shape: only nodes that have children are gone on with."""
    inner = {path[:-1] for path in shape.paths}
    frontier: list[RankPath] = [()]
    places: dict[RankPath, int] = {(): 0}
    rows, tokens, values = np.zeros(1, np.int64), np.array([root_id]), np.zeros(1)
    levels: list[Level] = []
    for number in range(shape.depth):
        found, log_probs = advance(number, rows, tokens)
        k, parents = found.shape[1], np.array([places[path] for path in frontier])
        levels.append(Level(found.reshape(-1), np.repeat(parents, k), (values[:, None] + log_probs).reshape(-1)))
        below = [path for path in shape.paths if len(path) == number + 1]
        places |= {path: frontier.index(path[:-1]) * k + path[-1] for path in below}
        frontier = [path for path in below if path in inner]
        kept = np.array([places[path] for path in frontier], np.int64)
        rows, tokens, values = kept // k, levels[-1].tokens[kept], levels[-1].values[kept]
    return tree_of(levels, [(len(path) - 1, places[path]) for path in shape.paths])


def tree_of(levels: Sequence[Level], nodes: Sequence[tuple[int, int]], given: Sequence[LogProbs] = ()) -> DraftTree:
    """A draft tree of nodes (depth, place), each behind its parent.

    `given`: probabilities of each level's nodes, where their branches' values are not made of these.
    """
    number = {node: i for i, node in enumerate(nodes)}
    tokens, parents, probs = [], [], []
    for depth, place in nodes:
        level = levels[depth]
        beginning = int(level.parents[place])
        before = float(levels[depth - 1].values[beginning]) if depth else 0.0
        tokens.append(int(level.tokens[place]))
        parents.append(number[depth - 1, beginning] if depth else -1)
        probs.append(float(given[depth][place] if given else np.exp(level.values[place] - before)))
    return DraftTree(tuple(tokens), tuple(parents), tuple(probs))
