"""What a smaller draft would have brought at a recorded step. Pure; computed from what was recorded, nothing is run.

Three ways to draft less, each a cut of the recorded tree: the first `budget` nodes in the order they were proposed,
the nodes no deeper than `depth`, and the `top_k` likeliest children of each node. Two answers each:

- *accepted*: how much of the path that survived lies inside the cut. That is what this very step would have kept,
  provided that the drafter had proposed the rest of its tree unchanged.
- *expected*: the mean over all draws, from the recorded target probabilities; only where the rule draws the target's
  token and keeps the node that holds it. It reaches a node with the product of the target probabilities along its
  path, so the expected accepted length is the sum of these products over the cut. None where a probability is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.events import Node, Stepped
from specviz.showing.steps import depths

BUDGETS = (1, 2, 4, 8, 16, 32, 64)
DEPTHS = (1, 2, 3, 4, 6, 8, 12, 16)
TOP_KS = (1, 2, 3, 4, 8)


@dataclass(frozen=True)
class Cut:
    """One smaller draft."""

    limit: int
    num_nodes: int
    accepted: int
    expected: float | None
    """None where nothing is drawn or a probability is missing."""


@dataclass(frozen=True)
class Cuts:
    """All smaller drafts of one step, each list up to the whole tree."""

    budget: tuple[Cut, ...]
    depth: tuple[Cut, ...]
    top_k: tuple[Cut, ...]


def cuts(step: Stepped, *, is_drawn: bool) -> Cuts:
    """The smaller drafts of a step; empty where nothing was proposed. `is_drawn`: a node survives if it is the draw."""
    chances = reach(step.nodes) if is_drawn else None
    places = range(1, len(step.nodes) + 1)
    return Cuts(
        budget=_family(step, chances, BUDGETS, list(places)),
        depth=_family(step, chances, DEPTHS, depths(step.nodes)),
        top_k=_family(step, chances, TOP_KS, ranks(step.nodes)),
    )


def _family(
    step: Stepped, chances: Sequence[float] | None, limits: Iterable[int], sizes: Sequence[int]
) -> tuple[Cut, ...]:
    """One cut for each limit below the largest size, and the whole tree. `sizes` grow along every path."""
    if not sizes:
        return ()
    largest = max(sizes)
    found = []
    for limit in (*(limit for limit in limits if limit < largest), largest):
        kept = [size <= limit for size in sizes]
        expected = None if chances is None else sum(c for c, is_kept in zip(chances, kept, strict=True) if is_kept)
        accepted = sum(kept[node] for node in step.path)
        found.append(Cut(limit, sum(kept), accepted, expected))
    return tuple(found)


def reach(nodes: Sequence[Node]) -> list[float] | None:
    """How likely each node is to be drawn, and all above it: the product of target probabilities from the root."""
    chances: list[float] = []
    for node in nodes:
        if node.target_prob is None:
            return None
        chances.append(node.target_prob * (chances[node.parent] if node.parent >= 0 else 1.0))
    return chances


def ranks(nodes: Sequence[Node]) -> list[int]:
    """The smallest top-k that keeps each node and all above it. Siblings rank by draft probability, then by place."""
    children: dict[int, list[int]] = defaultdict(list)
    for index, node in enumerate(nodes):
        children[node.parent].append(index)
    own = [0] * len(nodes)
    for siblings in children.values():
        for rank, index in enumerate(sorted(siblings, key=lambda i: (-(nodes[i].draft_prob or 0.0), i)), start=1):
            own[index] = rank
    found: list[int] = []
    for index, node in enumerate(nodes):
        found.append(max(own[index], found[node.parent] if node.parent >= 0 else 0))
    return found
