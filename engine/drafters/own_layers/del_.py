"""DEL: how many layers draft, and how many tokens, is chosen in every step (arXiv 2504.05598).

Drafts and verifies as LayerSkip does. In steps that look, the states behind each exit of root and accepted tokens go
through final norm and output layer as well: what each exit would have drafted is compared with what was emitted. The
exit and length of the next step are those with the most expected tokens for their cost; a draft ends early behind a
token that its exit is less sure of than it usually is when it is right. Choices go by what was emitted, never by a
clock: costs are measured before a session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.drafters.base import Context, Room
from engine.drafters.budget import FREE
from engine.drafters.growing import Growing, confidence_option, depth_option
from engine.drafters.own_layers._chains import OwnLayers
from engine.drafters.own_layers._exits import Exits, step_costs
from engine.errors import BadInput
from engine.options import option
from engine.runtime import crossings
from engine.sampling import displayed
from engine.tree import EMPTY_TREE, Begun, DraftTree
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target

FIRST_LOOKS = 4
"""Steps of a session that all look."""
MOST_PATIENCE = 8
"""Where nothing is drafted looks are made ever more seldom, up to so many times `every` steps apart."""


@dataclass(frozen=True)
class DelOptions:
    """Which exits there are, how far to draft, how to estimate."""

    shallowest: int = option(1, "Fewest layers of the target that draft.", low=1, high=1_000, unit="layers")
    deepest: int = option(0, "Most layers that draft; 0 all but the last.", low=0, high=1_000, unit="layers")
    exits: int = option(8, "Exits to compare, spread between these two.", low=1, high=64, unit="exits")
    depth: int = depth_option(8)
    min_confidence: float = confidence_option(0.0)
    stops: bool = option(True, "Stop drafting, too, after a token that looks like the exit's wrong ones.")
    costs: str = option(
        "measured",
        "Weigh drafts by what they cost on this machine, or by layers as the paper does.",
        choices=("measured", "layers"),
    )
    every: int = option(
        16, "Steps between two that compare the exits; more where nothing is drafted.", low=1, high=64, unit="steps"
    )
    memory: float = option(0.95, "Share of what was seen before that each token leaves.", low=0.5, high=1.0)


class Del(OwnLayers):
    """An exit for every step."""

    name = "del"
    title = "DEL"
    summary = "As LayerSkip, but how many layers draft, and how many tokens, is chosen anew in every step."
    source = "arXiv 2504.05598"
    Options = DelOptions
    options: DelOptions

    def __init__(self, options: DelOptions, target: Target) -> None:
        super().__init__(options, target)
        self.layers = exits_of(options, self.runner.num_layers, target.facts.name)
        self._costs = step_costs(self.layers, (1 / self.runner.num_layers, 0.0), FREE, options.depth)

    def fit(self, costs: Costs) -> None:
        if self.options.costs == "measured":
            self._costs = step_costs(self.layers, costs.exits, costs.rows, self.options.depth)

    def start(self, context: Context) -> None:
        super().start(context)
        self._exits = Exits(self.layers, self.runner.num_layers, self.options.memory)
        self._num_steps, self._layer = 0, self.layers[0]
        self._next_look, self._patience = 0, self.options.every
        self._states: list[Tensor] = []
        self._below: list[tuple[Tensor, ...]] = []

    @property
    def _looks(self) -> bool:
        return self._num_steps < FIRST_LOOKS or self._num_steps >= self._next_look

    def propose(self, context: Context, room: Room) -> DraftTree:
        tree = super().propose(context, room)
        if tree or not self._looks or room.chain < 1:
            return tree
        self._layer = self.layers[0]
        self._pass(context.root_id, -1)
        return self._begun(EMPTY_TREE)

    def _plan(self, room: Room) -> tuple[int, float]:
        fewest = int(self.options.costs == "layers" and room.chain > 0)
        place, length = self._exits.best(self._costs[:, : room.chain + 1], fewest)
        self._layer = self.layers[place]
        least = self._exits.threshold(place) if self.options.stops else 0.0
        return length, max(least, self.options.min_confidence)

    def _read(self, token: int, node: int) -> Tensor:
        return self.runner.scores(self._pass(token, node)).float()

    def _pass(self, token: int, node: int) -> Tensor:
        """States (1, h) of a token behind the exit."""
        if node < 0:
            self._states, self._below = [], []
        asked = [layer for layer in self.layers if layer < self._layer] if self._looks else []
        rows = self.runner.extend([token], [node], layers=range(self._layer), hidden_layers=asked)
        assert rows.states is not None
        self._states.append(rows.states)
        self._below.append(rows.hidden or ())
        return rows.states

    def _left(self, growing: Growing) -> DraftTree:
        last = len(growing) - 1
        self._pass(growing.tokens[last], last)
        return self._begun(growing.tree())

    def _begun(self, tree: DraftTree) -> DraftTree:
        asked = tuple(layer for layer in self.layers if layer > self._layer)
        return tree.begun_at(Begun(self._layer, torch.cat(self._states), asked if self._looks else None))

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        super().observe(verdict, emitted, scored)
        if scored.asked is not None:
            rows = [0, *(node + 1 for node in verdict.path)][: len(emitted)]
            below = (torch.cat(states) for states in zip(*self._below, strict=True))
            every = [*below, torch.cat(self._states), *scored.asked]
            self._exits.learn(*self._shadows(torch.stack([states[rows] for states in every]), scored.logits[rows]))
        if self._looks and self._num_steps >= FIRST_LOOKS - 1:
            most = MOST_PATIENCE * self.options.every
            self._patience = self.options.every if self.context.tree else min(2 * self._patience, most)
            self._next_look = self._num_steps + self._patience
        self._num_steps += 1

    def _shadows(self, states: Tensor, logits: Tensor) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
        """What each exit's states (n, m, h) say of the last m tokens, the target's logits of them being (m, v).

        Each (m, n): the share of the two distributions that they have in common (greedy: whether the likeliest is what
        was emitted), the latter, and the probability of the likeliest.
        """
        config, num = self.context.config, len(logits)
        ids = self.context.ids
        before = None if config.repetition_penalty == 1 else [ids[: len(ids) - num + i] for i in range(num)]
        every = before and before * len(states)
        laws = displayed(self.runner.scores(states.flatten(0, 1)), config, every).view(len(states), num, -1)
        best = laws.max(dim=2)
        emitted = crossings.upload(torch.tensor(ids[-num:]), logits.device)
        is_right = (best.indices == emitted).float()
        common = is_right if config.is_greedy else torch.minimum(laws, displayed(logits, config, before)).sum(dim=2)
        found = crossings.download(common, is_right, best.values)
        return [part.double().numpy().T for part in found]


def exits_of(options: DelOptions, num_layers: int, model: str) -> tuple[int, ...]:
    """The layers behind which a token may leave. Raises BadInput."""
    deepest = options.deepest or num_layers - 1
    if not options.shallowest <= deepest < num_layers:
        raise BadInput(
            f"Options shallowest and deepest are {options.shallowest} and {options.deepest}; {model} has {num_layers} "
            f"layers, and exits lie behind 1 to {num_layers - 1} of them."
        )
    spread = np.linspace(options.shallowest, deepest, options.exits).round().astype(int)
    return tuple(dict.fromkeys(spread.tolist()))


DRAFTER = Del
