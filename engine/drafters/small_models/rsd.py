"""Recursive speculative decoding: a small model's drafts drawn without replacement (arXiv 2402.14160).

`shape` branches (RSD-C): below each node of level l stand as many children as `branches` says there, the first of a
race, which is a draw without replacement (Gumbel-top-k). `shape` beam (RSD-S): the `width` best of a stochastic beam
(1903.06059) at each level. A node's perturbed score is at most its parent's: with G = log-probability of the path +
Gumbel noise and Z the largest of its siblings', it is -log(e^-parent - e^-Z + e^-G). Siblings enter in falling order,
and whether the i-th is in the beam does not hang on which token it is; so rejection without replacement is exact for
the union of all beams.

Where nothing is drawn, a beam is the `width` nodes of a level that promise most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from engine.drafters.base import Context, Room
from engine.drafters.budget import budget_option
from engine.drafters.growing import Choice, Growing
from engine.drafters.small_models._levels import ByLevels
from engine.drafters.small_models._options import ModelOptions
from engine.draws import Drawing
from engine.errors import BadInput
from engine.options import option
from engine.tree import DraftTree

if TYPE_CHECKING:
    from engine.target import Target

MOST_CHILDREN, MOST_LEVELS, MOST_NODES = 16, 16, 64


@dataclass(frozen=True)
class RsdOptions(ModelOptions):
    """Which shape, how wide, how deep."""

    shape: str = option(
        "beam", "A stochastic beam, or so many children a node at each level.", choices=("beam", "branches")
    )
    branches: str = option("4,2,1,1", "Children of a node, level by level (shape branches).", kind="text")
    width: int = option(4, "Nodes of a level (shape beam).", low=1, high=16, unit="nodes")
    depth: int = option(4, "Levels (shape beam).", low=1, high=16, unit="tokens")
    budget: str = budget_option()


class Rsd(ByLevels):
    """Trees whose siblings are drawn without replacement."""

    name = "rsd"
    title = "RSD"
    summary = "A small language model's tree, drawn without replacement: level by level, or as a stochastic beam."
    source = "arXiv 2402.14160"
    drawings: tuple[Drawing, ...] = ("in_turn",)
    Options = RsdOptions
    options: RsdOptions

    def __init__(self, options: RsdOptions, target: Target) -> None:
        self._is_beam = options.shape == "beam"
        self._nums = [options.width] * options.depth if self._is_beam else children_of(options.branches)
        self.most_depth, self.most_nodes = len(self._nums), num_nodes(self._nums, is_beam=self._is_beam)
        super().__init__(options, target)
        if not self._is_beam:
            self.drawings = ("in_turn", "iid") if max(self._nums) > 1 else ("in_turn", "iid", "chain")

    def _draft(self, context: Context, logits: Tensor, room: Room) -> DraftTree:
        if self._is_beam and context.draft_mode == "drawn":
            return self._beams(context, logits, room)
        return super()._draft(context, logits, room)

    def _num_children(self, growing: Growing, node: int) -> int:
        return self._nums[growing.depths[node]]

    def _expanded(self, growing: Growing, level: Sequence[int]) -> list[int]:
        return list(level)[: self.options.width] if self._is_beam else list(level)

    def _beams(self, context: Context, logits: Tensor, room: Room) -> DraftTree:
        growing = self._begin(context)
        beam = {-1: (0.0, 0.0)}
        for depth in range(1, room.depth + 1):
            most = min(self.options.width, room.nodes - len(growing))
            beam = next_beam(growing, beam, growing.laws([*beam], logits), most)
            if not beam or depth == room.depth or len(growing) == room.nodes:
                break
            logits = self._feed_nodes([*beam], growing)
        return growing.tree()


Beam = dict[int, tuple[float, float]]
"""Of each node, the best first: log-probability of its path, and its perturbed score."""


def next_beam(growing: Growing, beam: Beam, laws: Tensor, most: int) -> Beam:
    """Put the best children of a beam into the tree, by perturbed score, and give them."""
    found: list[tuple[float, float, int, int, int]] = []
    for row, (node, (path, score)) in enumerate(beam.items()):
        waits = growing.context.noise.waits(
            growing.context.position, laws.shape[1], f"{growing.name} {node}", laws.device
        )
        race = (laws[row] / waits).topk(min(most, laws.shape[1]))
        arrivals = [(path + math.log(speed), token) for speed, token in zip(*map(_listed, race), strict=True) if speed]
        for arrival, token in arrivals:
            perturbed = at_most(score, arrivals[0][0], arrival)
            found.append((perturbed, path + math.log(laws[row, token].item()), row, node, token))
    best = sorted(found, reverse=True)[:most]
    grown: Beam = {}
    for perturbed, path, row, node, token in best:
        prob = laws[row, token].item()
        grown[growing.add(node, Choice(token, prob, prob), laws[row])] = path, perturbed
    return grown


def _listed(values: Tensor) -> list[float]:
    listed: list[float] = values.tolist()
    return listed


def at_most(bound: float, highest: float, score: float) -> float:
    """-log(e^-bound - e^-highest + e^-score): a score below its siblings' highest, as if that were `bound`."""
    if score == highest:
        return bound
    moved = bound - score + math.log(-math.expm1(score - highest))
    return bound - max(0.0, moved) - math.log1p(math.exp(-abs(moved)))


def children_of(branches: str) -> list[int]:
    """Of each level. Raises BadInput."""
    try:
        nums = [int(part) for part in branches.split(",")]
    except ValueError:
        nums = []
    if not 1 <= len(nums) <= MOST_LEVELS or not all(1 <= num <= MOST_CHILDREN for num in nums):
        raise BadInput(
            f"Option branches is {branches!r}; wanted 1 to {MOST_LEVELS} whole numbers from 1 to {MOST_CHILDREN}, "
            "parted by commas, as in 4,2,1."
        )
    return nums


def num_nodes(nums: Sequence[int], *, is_beam: bool) -> int:
    """Of a tree of so many children, or so large beams, level by level; no more than fit."""
    if is_beam:
        return min(MOST_NODES, sum(nums))
    levels = [math.prod(nums[: depth + 1]) for depth in range(len(nums))]
    return min(MOST_NODES, sum(levels))


DRAFTER = Rsd
