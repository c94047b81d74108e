"""Rows that wait for a verdict, layer by layer: who follows whom, where they stand, and who may look at whom.

A pass adds rows to the layers that it goes through. Layers that hold the same rows share one `Waiting`; a pass over
some of them parts it, and they come together again when they hold the same. Knows numbers only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from engine.errors import RunFailed
from engine.runtime.extra import Layout, Mask

MAX_PENDING = 512


class Waiting:
    """How many tokens some layers have kept, and the rows behind them, in the order in which they came."""

    def __init__(self) -> None:
        self.num_committed = 0
        self.parents: list[int] = []
        self.depths: list[int] = []
        # In numpy: a few rows are a few assignments, and torch's take ten times as long.
        self._ancestors = np.zeros((MAX_PENDING, MAX_PENDING), dtype=np.bool_)

    def __len__(self) -> int:
        return len(self.depths)

    def copy(self) -> Waiting:
        """The same, apart."""
        found, num_rows = Waiting(), len(self)
        found.num_committed, found.parents, found.depths = self.num_committed, [*self.parents], [*self.depths]
        found._ancestors[:num_rows, :num_rows] = self._ancestors[:num_rows, :num_rows]
        return found

    def is_like(self, other: Waiting) -> bool:
        """Whether both hold the same rows behind as many tokens."""
        if self is other:
            return True
        size = len(self)
        is_same = (self.num_committed, self.parents) == (other.num_committed, other.parents)
        return is_same and np.array_equal(self._ancestors[:size, :size], other._ancestors[:size, :size])

    def add(self, parents: Sequence[int], num_extra: int = 0, *, is_block: bool = False) -> None:
        """Rows that each follow an earlier one, -1 the last kept token; those of a block see one another besides.

        Raises RunFailed.
        """
        first, num_all = len(self), len(self) + len(parents) + num_extra
        if num_all > MAX_PENDING:
            raise RunFailed(f"{num_all} rows wait for a verdict; at most {MAX_PENDING} can.")
        for parent in parents:
            row = len(self.depths)
            if parent >= row:
                raise RunFailed(f"Row {row} follows row {parent}, which does not stand before it.")
            self._ancestors[row] = self._ancestors[parent] if parent >= 0 else False
            self._ancestors[row, row] = True
            self.depths.append(1 if parent < 0 else self.depths[parent] + 1)
            self.parents.append(parent)
        if is_block:
            self._ancestors[first : len(self), first : len(self)] = True

    def keep(self, rows: Sequence[int]) -> None:
        """These rows are kept from now on, and the others are gone."""
        self.num_committed += len(rows)
        self.parents, self.depths = [], []

    def positions(self, first: int = 0, layout: Layout | None = None) -> list[int]:
        """Places in the text of the rows from `first` on, the extra rows of a pass behind them."""
        depths = self.depths[first:]
        if layout is not None:
            depths = depths + layout.depths(depths)
        return [self.num_committed + depth - 1 for depth in depths]

    def mask(self, first: int, layout: Layout | None) -> Mask:
        """Who may look at whom behind the kept columns: (rows, first + rows) of the rows from `first` on.

        Extra rows are the last of them.
        """
        end = len(self)
        num_all = end - first if layout is None else layout.num_rows
        mask = np.zeros((num_all, first + num_all), dtype=np.bool_)
        mask[: end - first, :end] = self._ancestors[first:end, :end]
        if layout is not None:
            layout.fill(mask, first)
        return mask


class WaitingByLayer:
    """The `Waiting` of every layer of a model."""

    def __init__(self, num_layers: int) -> None:
        self.layers = range(num_layers)
        self._of = [Waiting()] * num_layers
        self._distinct = self._of[:1]

    def __getitem__(self, layer: int) -> Waiting:
        return self._of[layer]

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._distinct)

    def reset(self) -> None:
        """Nothing is kept and nothing waits, anywhere."""
        self._of = self._of[:1] * len(self.layers)
        self._distinct = self._of[:1]
        self._of[0].num_committed = 0
        self._of[0].keep(())

    def shared(self, layers: Sequence[int]) -> Waiting:
        """The one of these layers and of no others. Raises RunFailed where they hold different rows."""
        if len(self._distinct) == 1 and len(layers) == len(self.layers):
            return self._distinct[0]
        one = self._of[layers[0]]
        if other := next((layer for layer in layers if not self._of[layer].is_like(one)), None):
            raise RunFailed(
                f"Layer {layers[0]} holds {one.num_committed} tokens and {len(one)} rows that wait, layer {other} "
                f"{self._of[other].num_committed} and {len(self._of[other])}; one pass cannot add to both."
            )
        if any(self._of[layer] is one for layer in set(self.layers) - set(layers)):
            one = one.copy()
        for layer in layers:
            self._of[layer] = one
        self._distinct = list(dict.fromkeys(self._of))
        return one

    def groups(self, layers: Sequence[int]) -> list[tuple[Waiting, Sequence[int]]]:
        """These layers by what they share."""
        if len(self._distinct) == 1 and len(layers) == len(self.layers):
            return [(self._distinct[0], layers)]
        found: dict[Waiting, list[int]] = {}
        for layer in layers:
            found.setdefault(self._of[layer], []).append(layer)
        return [(self.shared(own), own) for own in found.values()]

    def unite(self) -> None:
        """Let layers share again that differ in nothing."""
        if len(self._distinct) > 1:
            for layer in self.layers:
                self._of[layer] = next(other for other in self._distinct if other.is_like(self._of[layer]))
            self._distinct = list(dict.fromkeys(self._of))
