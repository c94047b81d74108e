"""Two drafters in one session, both asked in every step: the target verifies the union of their trees in one pass.

Where one is right the other need not be: a copied run and a head's guesses stand side by side, and share the nodes
that say the same. Either drafter sees the step as if the tree were its own with more behind it: its nodes come first,
under the numbers that it gave them. Each fits its own tree to the machine, as it does alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.config import GenerationConfig
from engine.drafters.base import Context, Drafter, Room
from engine.drafters.fallback import WithFallback
from engine.draws import Draws
from engine.errors import RunFailed
from engine.tree import EMPTY_TREE, DraftTree, GrowingTree
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.target import Scored


class WithUnion(WithFallback):
    """The first drafter under its own name, and what a second adds to its trees."""

    _drafts = EMPTY_TREE, EMPTY_TREE

    def __init__(self, first: Drafter, second: Drafter, given: Mapping[str, object] | None = None) -> None:
        super().__init__(first, second, given)
        # Siblings of two makers are from two laws, and two chains are none.
        self.drawings = tuple(drawing for drawing in self.drawings if drawing == "in_turn")

    def check(self, config: GenerationConfig) -> None:
        super().check(config)
        Drafter.check(self, config)

    def propose(self, context: Context, room: Room) -> DraftTree:
        """The second drafts in what room the first leaves."""
        first = self.first.propose(context, room)
        second = self.second.propose(context, Room(room.nodes - len(first), room.depth))
        self._drafts = first, second
        makers = [drafter.name for drafter, tree in zip((self.first, self.second), self._drafts, strict=True) if tree]
        return replace(united(first, second), proposed_by=" + ".join(makers) or None)

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        tree = self.context.tree
        for drafter, own in zip((self.first, self.second), self._drafts, strict=True):
            order = led_by(tree, own)
            self.context.tree = replace(ordered(tree, order), proposed_by=drafter.name)
            if not own.extra:
                self.context.tree = replace(self.context.tree, extra=None)
            path = tuple(order.index(node) for node in verdict.path)
            told = rows_of(replace(scored, hidden=drafter.needs.own_hidden(scored.hidden, self.needs)), order)
            drafter.observe(replace(verdict, path=path, judged=()), emitted, told)
        self.context.tree = tree


def united(first: DraftTree, second: DraftTree) -> DraftTree:
    """The first tree with what the second adds to it; nodes that say the same are one.

    The second was drafted without a look at the first: below a node its draws stand behind the first's. Raises
    RunFailed where only one tree is drawn, or where both have extra rows.
    """
    trees = [tree for tree in (first, second) if tree or tree.extra]
    if len(trees) < 2:
        return trees[0] if trees else EMPTY_TREE
    if first.extra and second.extra:
        raise RunFailed("Two drafts cannot be one where both have rows that look ahead.")
    growing, probs = GrowingTree(), dict[int, float | None]()
    places = [_put(growing, tree) for tree in trees]
    for tree, place in zip(trees, places, strict=True):
        for node, prob in enumerate(tree.draft_probs or ()):
            if probs.get(place[node]) is None:
                probs[place[node]] = prob
    moved = [tree.extra.moved(place) for tree, place in zip(trees, places, strict=True) if tree.extra]
    return replace(
        growing.grown(),
        draft_probs=tuple(map(probs.get, range(len(growing.tokens)))) if probs else None,
        draws=_drawn(trees, places),
        extra=moved[0] if moved else None,
    )


def _put(growing: GrowingTree, tree: DraftTree) -> dict[int, int]:
    """Add a tree at the root; where each of its nodes stands, and the root."""
    place = {-1: -1}
    for node, (parent, token) in enumerate(zip(tree.parents, tree.tokens, strict=True)):
        (place[node],) = growing.add(place[parent], [token])
    return place


def _drawn(trees: Sequence[DraftTree], places: Sequence[dict[int, int]]) -> Draws | None:
    """How the nodes of all were drawn, one tree behind the other; each draw has its own law."""
    nodes = [(tree, place) for tree, place in zip(trees, places, strict=True) if tree]
    if not any(tree.is_sampled for tree, _ in nodes):
        return None
    rows, row_of, order = list[Tensor](), list[int](), list[int]()
    for tree, place in nodes:
        if tree.draws is None:
            raise RunFailed("Two drafts cannot be one where only one says what it was drawn from.")
        own = tree.draws.with_a_law_each(tree.tokens, tree.parents)
        first = sum(len(laws) for laws in rows)
        row_of += [first + row for row in own.row_of]
        order += [place[node] for node in own.order]
        rows.append(own.rows)
    return Draws(torch.cat(rows), tuple(row_of), "conditional", tuple(order))


def led_by(tree: DraftTree, own: DraftTree) -> tuple[int, ...]:
    """The nodes of a tree, those that say what `own` says first and in its order; parents stand before children."""
    child = {pair: node for node, pair in enumerate(zip(tree.parents, tree.tokens, strict=True))}
    place: dict[int, int | None] = {-1: -1}
    for node, (parent, token) in enumerate(zip(own.parents, own.tokens, strict=True)):
        above = place[parent]
        place[node] = None if above is None else child.get((above, token))
    first = [node for node in place.values() if node is not None and node >= 0]
    return tuple(dict.fromkeys([*first, *range(len(tree))]))


def ordered(tree: DraftTree, order: Sequence[int]) -> DraftTree:
    """The same nodes in another order, parents before children, without what is told of them."""
    place = {-1: -1, **{old: new for new, old in enumerate(order)}}
    return DraftTree(
        tuple(tree.tokens[node] for node in order),
        tuple(place[tree.parents[node]] for node in order),
        extra=tree.extra and tree.extra.moved(place),
    )


def rows_of(scored: Scored, order: Sequence[int]) -> Scored:
    """A pass's rows as they belong to nodes in this order."""
    if list(order) == list(range(len(order))):
        return scored
    rows = [0, *(node + 1 for node in order)]
    hidden = scored.hidden and tuple(states[rows] for states in scored.hidden)
    return replace(scored, logits=scored.logits[rows], hidden=hidden)
