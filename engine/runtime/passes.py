"""What one forward pass is asked for, and what it gives: the same for compiled passes and transformers' own."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from engine.runtime.extra import Foreseen, Layout, Mask

Inputs = Sequence[int] | Tensor
"""Of m rows: token ids, or states (m, h) as they enter the first layer of a pass."""


@dataclass(frozen=True)
class Span:
    """The layers from `first` to before `end`, without those of `skip`, of a model that has `num_layers`."""

    first: int
    end: int
    skip: frozenset[int]
    num_layers: int

    @functools.cached_property
    def layers(self) -> Sequence[int]:
        """Those that a pass goes through, ascending."""
        whole = range(self.first, self.end)
        return [layer for layer in whole if layer not in self.skip] if self.skip else whole

    @functools.cached_property
    def borders(self) -> frozenset[int]:
        """Layers that begin a stretch of layers of which all are gone through, or none."""
        begin = {layer for layer in range(self.first, self.end) if (layer in self.skip) != (layer - 1 in self.skip)}
        return frozenset({self.first, self.end} | begin)


@dataclass(frozen=True)
class Pass:
    """m rows, the extra rows of `layout` behind them, through some layers."""

    inputs: Inputs
    span: Span
    positions: Sequence[int]
    """Places in the text of all rows, extra rows among them."""
    waiting: Sequence[int]
    """Those of the w rows that wait already."""
    mask: Mask
    """(rows, w + rows): who may look at whom among them."""
    num_committed: int
    scored: slice
    """Rows that the output layer reads; none of a pass that ends before the last layer."""
    hidden_layers: Sequence[int]
    """Layers whose input is asked for; the number of layers stands for the output of the final norm."""
    layout: Layout | None = None

    @property
    def column(self) -> int:
        """Of the cache, that the first row's keys go to."""
        return self.num_committed + len(self.waiting)

    @property
    def num_real(self) -> int:
        """Rows that are no extra rows."""
        return len(self.positions) if self.layout is None else self.layout.num_real

    @property
    def is_whole(self) -> bool:
        """Whether token ids go through all layers."""
        return len(self.span.layers) == self.span.num_layers and not isinstance(self.inputs, Tensor)

    @property
    def is_scored(self) -> bool:
        """Whether any row is."""
        return bool(self.scored.stop > self.scored.start)

    @property
    def is_normed(self) -> bool:
        """Whether the final norm is asked for."""
        return self.is_scored or self.span.num_layers in self.hidden_layers


@dataclass(frozen=True)
class Found:
    """What comes out of a pass, extra rows among all rows."""

    logits: Tensor
    """(k, v) of the k scored rows."""
    hidden: tuple[Tensor, ...]
    """Per asked-for layer (rows, h), in the model's dtype."""
    states: Tensor | None
    """(m, h): what a pass without scores ends with, to go on from to the bit."""


@dataclass(frozen=True)
class Rows:
    """What a pass gives for its m rows."""

    logits: Tensor
    """(m, v) in the model's dtype, or of the last rows, if only those were asked for; none of a pass that ends before
    the last layer."""
    hidden: tuple[Tensor, ...] | None
    """Per asked-for layer (m, h), where hidden states were asked for."""
    extra: Foreseen | None = None
    """Where the extra rows end up, if there were any."""
    states: Tensor | None = None
    """(m, h): of a pass without logits, what its last layer gives, from which another pass goes on to the bit."""
