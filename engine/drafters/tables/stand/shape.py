"""The fixed shape of STAND's trees: which ranks it has, where each node's children stand, and which go first."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import NamedTuple

from engine.drafters.tables.stand.memory import MAX_DEPTH, NUM_KEPT, Path

NUM_START_NODES = 625


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
