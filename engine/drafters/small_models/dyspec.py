"""DySpec: a tree of a small model that grows where acceptance is likeliest, node by node (arXiv 2410.11744).

A heap holds the slots in which a node could be put, each with how likely the target is to come by it. The likeliest
slot is taken, its token drawn (or chosen, as the rule asks), and two slots follow: the token's first child, worth the
slot times the token's conditional probability D, and its next sibling, worth the slot times 1 - D. So values never
rise. A slot is opened before its token is known and nothing is dropped behind it, which keeps drawn trees exact.

Where tokens are chosen they are known beforehand, and a slot is worth what its node is: the tree is that of the
likeliest texts.

A node is fed to the draft model when its child slot is taken, together with the `width` best that wait for the same:
one pass serves several of them. The model runs the more often, the deeper the tree.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from engine.drafters.base import Context, Room
from engine.drafters.budget import budget_option
from engine.drafters.growing import Choice, Growing
from engine.drafters.small_models._model import SmallModel
from engine.drafters.small_models._options import ModelOptions
from engine.draws import Drawing
from engine.options import option
from engine.tree import DraftTree

if TYPE_CHECKING:
    from engine.target import Target

MOST_CHILDREN = 16


@dataclass(frozen=True)
class DySpecOptions(ModelOptions):
    """How large, how deep, and how much is fed at once."""

    nodes: int = option(16, "Nodes of the tree.", low=1, high=64, unit="nodes")
    depth: int = option(6, "Most tokens in a row.", low=1, high=16, unit="tokens")
    width: int = option(4, "Nodes fed to the draft model at once.", low=1, high=16, unit="nodes")
    budget: str = budget_option()


class Slot(NamedTuple):
    """A place for the `number`-th child of a node; the heap's first is the most promising, of equal ones the eldest."""

    negative: float
    age: int
    node: int
    number: int
    value: float
    """How likely its token is to be examined: the node is accepted, and none of the children before it."""


class DySpec(SmallModel):
    """Greedy expansion under a budget of nodes."""

    name = "dyspec"
    title = "DySpec"
    summary = "A small language model's tree that grows, node by node, where the target is likeliest to follow."
    source = "arXiv 2410.11744"
    drawings: tuple[Drawing, ...] = ("in_turn",)
    Options = DySpecOptions
    options: DySpecOptions

    def __init__(self, options: DySpecOptions, target: Target) -> None:
        self.most_depth = options.depth
        super().__init__(options, target)

    def _draft(self, context: Context, logits: Tensor, room: Room) -> DraftTree:
        growing = self._begin(context)
        num_nodes = min(self.options.nodes, room.nodes)
        slots = Slots(growing, room.depth)
        slots.know([-1], growing.laws([-1], logits))
        slots.open(-1, 0, 1.0)
        while len(growing) < num_nodes and slots.heap:
            slot = heapq.heappop(slots.heap)
            if slot.node in slots.choices:
                slots.fill(slot)
                continue
            waiting = [slot.node, *slots.waiting(self.options.width - 1)]
            slots.know(waiting, growing.laws(waiting, self._feed_nodes(waiting, growing)))
            slots.open(slot.node, 0, slot.value)
        return self._proposed(growing, num_nodes)


class Slots:
    """The heap, and what is known of what follows each node."""

    def __init__(self, growing: Growing, most_depth: int) -> None:
        self.growing, self.most_depth = growing, most_depth
        self.choices: dict[int, list[Choice]] = {}
        self.heap: list[Slot] = []
        self._laws: dict[int, Tensor] = {}
        self._taken: dict[int, float] = {}
        """Of each node's distribution, the share of the children that it has."""
        self._ages = itertools.count()

    def know(self, nodes: list[int], laws: Tensor) -> None:
        """What follows these nodes (m, v)."""
        for node, law in zip(nodes, laws, strict=True):
            self.choices[node], self._laws[node] = self.growing.choices(node, law, MOST_CHILDREN), law
        again = [slot for slot in self.heap if slot.node in nodes]
        self.heap = [slot for slot in self.heap if slot.node not in nodes]
        heapq.heapify(self.heap)
        for slot in again:
            self.open(slot.node, slot.number, slot.value)

    def waiting(self, most: int) -> list[int]:
        """The nodes of the best slots whose continuation is not known yet."""
        return [slot.node for slot in sorted(self.heap) if slot.node not in self.choices][:most]

    def open(self, node: int, number: int, value: float) -> None:
        """A slot, if there is a token for it. What is drawn is not looked at before it has its place."""
        promise = value
        if not self.growing.is_drawn:
            promise = self.growing.values[node] * self._chance(node, number)
        if node not in self.choices or number < len(self.choices[node]):
            heapq.heappush(self.heap, Slot(-promise, next(self._ages), node, number, value))

    def _chance(self, node: int, number: int) -> float:
        """Of a token that is chosen; 1 where it is not known yet."""
        choices = self.choices.get(node)
        return 1.0 if choices is None else choices[number].chance if number < len(choices) else 0.0

    def fill(self, slot: Slot) -> None:
        """Put the node into its slot, and open those that follow."""
        choice = self.choices[slot.node][slot.number]
        node = self.growing.add(slot.node, choice, self._laws[slot.node])
        taken = self._taken.get(slot.node, 0.0)
        conditional = min(1.0, choice.chance / (1 - taken)) if taken < 1 else 0.0
        self._taken[slot.node] = taken + choice.chance
        if self.growing.depths[node] < self.most_depth:
            self.open(node, 0, slot.value * conditional)
        self.open(slot.node, slot.number + 1, slot.value * (1 - conditional))


DRAFTER = DySpec
