"""A draft tree while it grows: its nodes, what each was chosen from, and how its children are chosen under the rule.

By the rule's draft mode a node's children are the drafter's likeliest tokens; those that the target is likeliest to
draw with the noise that both share (trust.py); or draws with noise of their own, one behind the other without
replacement, or independently of each other. A drawn tree states its draws, and none is ever taken back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.drafters.base import Context
from engine.drafters.trust import Trust
from engine.draws import Draws, Scheme
from engine.options import option
from engine.runtime import crossings
from engine.sampling import displayed, warp
from engine.tree import DraftTree


def depth_option(default: int) -> Any:
    """The option `depth` of a drafter of chains."""
    return option(default, "Most tokens in a row to draft.", low=1, high=32, unit="tokens")


def confidence_option(default: float) -> Any:
    """The option `min_confidence` of a drafter of chains."""
    return option(default, "Stop drafting after a token below this probability; 0 never.", low=0.0, high=1.0)


class Choice(NamedTuple):
    """A token that may stand below a node."""

    token: int
    prob: float
    """The drafter's."""
    chance: float
    """How likely the target is to choose it here, as far as the drafter can tell: with the noise that both share."""


class Growing:
    """The tree of one step."""

    def __init__(self, context: Context, name: str, trust: Trust, *, is_iid: bool | None = None) -> None:
        """`name`: the stream that its draws are from. `is_iid`: whether siblings are independent; None: if asked."""
        self.context, self.name, self.trust = context, name, trust
        self.is_iid = context.config.drawing == "iid" if is_iid is None else is_iid and self.is_drawn
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.probs: list[float] = []
        self.values = {-1: 1.0}
        """How likely each node is to be accepted, all above it included."""
        self.depths = {-1: 0}
        self._laws: dict[int, Tensor] = {}
        self._order: list[int] = []

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def is_drawn(self) -> bool:
        """Whether its nodes are draws, to be judged by their law."""
        return self.context.draft_mode == "drawn"

    def laws(self, nodes: Sequence[int], logits: Tensor) -> Tensor:
        """What follows these nodes by the drafter (m, v), warped as the target is."""
        make = warp if self.is_drawn else displayed
        return make(logits, self.context.config, self._contexts(nodes))

    def _contexts(self, nodes: Sequence[int]) -> list[list[int]] | None:
        """Token ids before what follows each of these nodes, where the settings look back."""
        if self.context.config.repetition_penalty == 1:
            return None
        return [[*self.context.ids, *self.path(node)] for node in nodes]

    def path(self, node: int) -> list[int]:
        """Tokens from the root's child down to a node."""
        found: list[int] = []
        while node >= 0:
            found.append(self.tokens[node])
            node = self.parents[node]
        return found[::-1]

    def choices(self, node: int, law: Tensor, most: int) -> list[Choice]:
        """Tokens below a node by a law (v,), the first to be taken first; independent draws may be equal."""
        if not self.is_drawn:
            return self._chosen([self.depths[node]], law[None], [most])[0]
        tokens = self._drawn(node, law, most)
        probs = crossings.rows(law, tokens).tolist()
        return [Choice(token, prob, prob) for token, prob in zip(tokens, probs, strict=True)]

    def _chosen(self, depths: Sequence[int], laws: Tensor, nums: Sequence[int]) -> list[list[Choice]]:
        """Below nodes of these depths the tokens that come first, by laws (m, v); a device is waited for once."""
        most, width = max(nums), laws.shape[1]
        if self.context.draft_mode == "likeliest":
            best = laws.topk(min(most, width), dim=1)
            tokens, probs = crossings.download(best.indices, best.values)
            chances = probs
        else:
            noise, places = self.context.noise, (self.context.position + depth for depth in depths)
            waits = torch.stack([noise.waits(place, width, device=laws.device) for place in places])
            for depth, law, own in zip(depths, laws, waits, strict=True):
                if depth == 0:
                    self.trust.look(law, own)
            weights = self.trust.weights(laws, waits)
            best = weights.topk(min(most, width), dim=1)
            shares = best.values / weights.sum(dim=1, keepdim=True)
            tokens, probs, chances = crossings.download(best.indices, laws.gather(1, best.indices), shares)
        rows = zip(tokens.long().tolist(), probs.tolist(), chances.tolist(), nums, strict=True)
        return [[c for c in map(Choice, *columns) if c.prob > 0][:num] for *columns, num in rows]

    def _drawn(self, node: int, law: Tensor, most: int) -> list[int]:
        """Noise of the step's place and of this node alone: no draw tells of another, in this step or the next."""
        noise, place, stream = self.context.noise, self.context.position, f"{self.name} {node}"
        if not self.is_iid:
            return noise.first(law, most, place, stream)
        return [noise.draw(law, place, f"{stream} {number}") for number in range(most)]

    def add(self, parent: int, choice: Choice, law: Tensor | None = None) -> int:
        """Put a choice by a law below a node; the node that it is. Equal draws are one node."""
        node = self._twin(parent, choice.token)
        if node is None:
            node = len(self.tokens)
            self.tokens.append(choice.token)
            self.parents.append(parent)
            self.probs.append(choice.prob)
            self.values[node] = self.values[parent] * choice.chance
            self.depths[node] = self.depths[parent] + 1
        if law is not None and self.is_drawn:
            self._laws[parent] = law
        self._order.append(node)
        return node

    def _twin(self, parent: int, token: int) -> int | None:
        if not self.is_iid:
            return None
        nodes = (node for node in reversed(range(len(self))) if self.parents[node] == parent)
        return next((node for node in nodes if self.tokens[node] == token), None)

    def add_row(self, logits: Tensor, least: float) -> None:
        """A chain below the root by scores (d, v) that do not hang on its tokens; where they are chosen, all at once.

        It ends with the first that is less probable than `least`.
        """
        laws, last = self.laws([-1] * len(logits), logits), -1
        chosen = None if self.is_drawn else self._chosen(range(len(laws)), laws, [1] * len(laws))
        for depth, law in enumerate(laws):
            (choice,) = self.choices(last, law, 1) if chosen is None else chosen[depth]
            last = self.add(last, choice, law)
            if choice.prob < least:
                return

    def draws_of(self, node: int) -> int:
        """How often a node was drawn; the root once."""
        return self._order.count(node) if node >= 0 else 1

    def below(self, nodes: Sequence[int], laws: Tensor, nums: Sequence[int], room: int) -> list[int]:
        """Put so many children below each of these nodes, the room allowing; the new nodes, each once.

        Where nodes are chosen the likeliest go first, of all; where they are drawn, node by node.
        """
        pairs = self._level(nodes, laws, nums, room)
        return list(dict.fromkeys(self.add(node, choice, law) for node, choice, law in pairs))

    def _level(
        self, nodes: Sequence[int], laws: Tensor, nums: Sequence[int], room: int
    ) -> Iterator[tuple[int, Choice, Tensor]]:
        if self.is_drawn:
            for node, law, num in zip(nodes, laws, nums, strict=True):
                for choice in self.choices(node, law, min(num, max(0, room - len(self)))):
                    yield node, choice, law
            return
        chosen = self._chosen([self.depths[node] for node in nodes], laws, nums) if nodes else []
        found = [
            (node, choice, law) for node, law, choices in zip(nodes, laws, chosen, strict=True) for choice in choices
        ]
        yield from sorted(found, key=lambda child: -self.values[child[0]] * child[1].chance)[:room]

    def tree(self) -> DraftTree:
        """The tree as it stands, with its draws where it is drawn."""
        return DraftTree(tuple(self.tokens), tuple(self.parents), tuple(self.probs), self._draws())

    def _draws(self) -> Draws | None:
        if not self.is_drawn or not self.tokens:
            return None
        row_of = {node: row for row, node in enumerate(self._laws)}
        rows = tuple(row_of[self.parents[node]] for node in self._order)
        scheme: Scheme = "iid" if self.is_iid else "without_replacement"
        return Draws(torch.stack([*self._laws.values()]), rows, scheme, tuple(self._order))
