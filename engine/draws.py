"""What the nodes of a draft tree were drawn from, and in which order.

A rule that weighs the target's distribution against the drafter's needs the exact law of each draw, given everything
known when it was made. `scheme` says how it follows from the rows:

- `iid`: all draws below a parent are from one row, independent of each other.
- `without_replacement`: all draws below a parent are from one row, from which the tokens drawn before are taken out.
- `conditional`: each draw has a row of its own, which is its law given the draws before it.

Equal draws below one parent may be one node (`DraftTree.merged`); it is then named as often as it was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from engine.errors import RunFailed

Scheme = Literal["iid", "without_replacement", "conditional"]
Drawing = Literal["in_turn", "iid", "chain"]
"""How a rule may ask for a draft to be drawn: in turn, siblings one behind the other by laws that the tree states; iid,
as many siblings as were settled before the first of them was drawn, all from one row; or a chain, one below each node.
"""


@dataclass(frozen=True, eq=False)
class Draws:
    """m draws of n nodes.

    `rows (r, v)`: probabilities. `row_of (m,)`: the row of each draw. `order (m,)`: the node that each draw made or
    met, nodes numbered as they were first drawn; left out, each node was drawn once. Raises RunFailed where these
    do not fit together.
    """

    rows: Tensor = field(repr=False)
    row_of: tuple[int, ...]
    scheme: Scheme = "conditional"
    order: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.order:
            object.__setattr__(self, "order", tuple(range(len(self.row_of))))
        if len(self.order) != len(self.row_of):
            raise RunFailed(f"{len(self.order)} draws with {len(self.row_of)} rows.")
        if any(not 0 <= row < len(self.rows) for row in self.row_of):
            raise RunFailed(f"Draws name rows {self.row_of}; there are {len(self.rows)}.")

    def check(self, parents: Sequence[int]) -> None:
        """Raises RunFailed where these are not draws of a tree with these parents (n,)."""
        if tuple(dict.fromkeys(self.order)) != tuple(range(len(parents))):
            raise RunFailed(f"Draws {self.order} do not make {len(parents)} nodes one after the other.")
        if self.scheme == "without_replacement" and len(self.order) != len(parents):
            raise RunFailed("A node was drawn twice without replacement.")
        shared: dict[int, int] = {}
        rows = zip(self.order, self.row_of, strict=True)
        if self.scheme != "conditional" and any(shared.setdefault(parents[node], row) != row for node, row in rows):
            raise RunFailed(f"Draws below one parent have several rows; scheme {self.scheme} has one for all.")

    def is_drawn(self, drawing: Drawing, parents: Sequence[int]) -> bool:
        """Whether the nodes of a tree with these parents (n,) can have been drawn so, as far as that shows."""
        if drawing == "in_turn":
            return True
        below = [parents[node] for node in self.order]
        if drawing == "chain":
            return below == list(range(-1, len(parents) - 1))
        return self.scheme == "iid" or len(set(below)) == len(below)

    def law(self, draw: int, earlier: Sequence[int]) -> Tensor:
        """Distribution (v,) float64 of a draw behind `earlier` tokens that were drawn below the same parent."""
        row = self.rows[self.row_of[draw]].double()
        if self.scheme != "without_replacement" or not earlier:
            return row
        row = row.clone()
        row[list(earlier)] = 0
        return row / row.sum()

    def with_a_law_each(self, tokens: Sequence[int], parents: Sequence[int]) -> Draws:
        """The same draws of a tree's nodes (n,) under the scheme that all can be told in."""
        if self.scheme != "without_replacement":
            return replace(self, scheme="conditional")
        earlier: dict[int, list[int]] = {}
        laws = []
        for draw, node in enumerate(self.order):
            before = earlier.setdefault(parents[node], [])
            laws.append(self.law(draw, before))
            before.append(tokens[node])
        return Draws(torch.stack(laws), tuple(range(len(laws))), "conditional", self.order)

    def only(self, place: Mapping[int, int]) -> Draws:
        """Those of some nodes, under the numbers that they have now."""
        kept = [draw for draw, node in enumerate(self.order) if node in place]
        order = tuple(place[self.order[draw]] for draw in kept)
        return replace(self, row_of=tuple(self.row_of[draw] for draw in kept), order=order)

    def until(self, node: int) -> Draws:
        """Without those behind the draw that made this node."""
        end = self.order.index(node) + 1
        return replace(self, row_of=self.row_of[:end], order=self.order[:end])
