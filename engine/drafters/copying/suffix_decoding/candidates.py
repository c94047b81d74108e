"""Drafts that a counted text offers behind each length of match, and the best of them. Knows texts; no target.

A state of the automaton stands for several suffixes of the context, all of which were followed by the same tokens; the
longest of them has the most nodes to propose, so that one is tried. In a text that goes round there are as many
lengths as tokens: of those above MOST_MATCHED the longest is tried alone.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.drafters.copying._automaton import Cursor

MOST_MATCHED = 32


class Source(NamedTuple):
    """A text, how often each of its substrings occurs in it, and where the context's longest match is."""

    cursor: Cursor
    counts: Sequence[int]


@dataclass(frozen=True)
class Limits:
    """How far a draft goes."""

    factor: float
    offset: float
    """A match of n tokens proposes factor · n + offset nodes at most."""
    least: float
    """The smallest share of all that followed the match that is proposed."""
    depth: int
    nodes: int
    is_path: bool
    """Always the likeliest continuation, no branches."""
    ends: frozenset[int] = frozenset()
    """Tokens that nothing follows."""

    def nodes_for(self, match: int) -> int:
        """Behind a match of so many tokens."""
        return min(self.nodes, int(self.factor * match + self.offset))


@dataclass
class Candidate:
    """A draft: nodes in the order of their shares."""

    match: int
    """Tokens of the context that it stands behind."""
    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    """Of all that followed the match, how much went on with the node's whole path."""
    depths: list[int] = field(default_factory=list)

    @property
    def score(self) -> float:
        """Tokens that are accepted if this text goes on as often as others did."""
        return sum(self.shares)

    def add(self, token: int, parent: int, share: float, depth: int) -> int:
        """Put a node below another; returns it."""
        self.tokens.append(token)
        self.parents.append(parent)
        self.shares.append(share)
        self.depths.append(depth)
        return len(self.tokens) - 1


def best(sources: Sequence[Source], limits: Limits) -> Candidate | None:
    """The draft of the highest score: of equal ones the longest match's, then that of the first source."""
    found = [candidate for source in sources for candidate in _candidates(source, limits)]
    return max(found, key=lambda candidate: (candidate.score, candidate.match), default=None)


def _candidates(source: Source, limits: Limits) -> Iterator[Candidate]:
    automaton = source.cursor.automaton
    state, match = source.cursor.state, source.cursor.length
    while state > 0:
        if limits.nodes_for(match) > 0 and (candidate := _grown(source, state, match, limits)).tokens:
            yield candidate
        state = automaton.link[state]
        while automaton.length[state] > MOST_MATCHED:
            state = automaton.link[state]
        match = automaton.length[state]


def _grown(source: Source, state: int, match: int, limits: Limits) -> Candidate:
    """Best first from the match's state, by the product of shares."""
    found, num_nodes = Candidate(match), limits.nodes_for(match)
    heap = _below(source, state, limits, 1.0, -1, 1)
    while heap and len(found.tokens) < num_nodes:
        share, depth, parent, token, state = heapq.heappop(heap)
        node = found.add(token, parent, -share, depth)
        if token not in limits.ends and depth < limits.depth:
            for item in _below(source, state, limits, -share, node, depth + 1):
                heapq.heappush(heap, item)
    return found


def _below(
    source: Source, state: int, limits: Limits, share: float, node: int, depth: int
) -> list[tuple[float, int, int, int, int]]:
    """(-share, depth, node above, token, state) of what may follow, as a heap."""
    following = source.cursor.automaton.next[state]
    num_followed = sum(source.counts[child] for child in following.values())
    found = [
        (-share * source.counts[child] / num_followed, depth, node, token, child)
        for token, child in following.items()
        if share * source.counts[child] >= limits.least * num_followed
    ]
    if limits.is_path:
        return [min(found)] if found else []
    heapq.heapify(found)
    return found
