"""Extra rows: rows of a drafter's own that ride in a target pass and leave no trace in it.

An extra row looks ahead from its owner, a real row of the same pass: step k stands k places behind
it. It enters before a layer of its step, with a state that the drafter's `Transfer` makes of the
owner's; it sees the context, the owner's path with the owner, the owner's extra rows of lower steps,
and itself. No real row ever sees one, so the real rows' bits are what they were; the KV cache
forgets them with the pass. Hidden Transfer (arXiv 2404.12022) needs this; prompt tokens (PPD,
2405.18628) are the case of layer 0. Knows rows, layers and masks; knows neither tokens nor models.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.errors import RunFailed

Mask = npt.NDArray[np.bool_]


class Transfer(Protocol):
    """How a drafter's extra rows come to be."""

    @property
    def layers(self) -> tuple[int, ...]:
        """Entry k - 1: the layer before which rows of step k enter."""

    def states(self, steps: tuple[int, ...], owners: Tensor) -> Tensor:
        """States (m · k, h) of k steps' rows, owner by owner, of their owners' states (m, h) before their layer."""


@dataclass(frozen=True, eq=False)
class ExtraRows:
    """e extra rows: `owners (e,)` and `steps (e,)`, which begin at 1.

    In a draft tree owners are nodes, -1 the root; in a pass they are rows.
    """

    transfer: Transfer
    owners: tuple[int, ...]
    steps: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.owners) != len(self.steps):
            raise RunFailed(f"{len(self.owners)} owners of extra rows, and {len(self.steps)} steps.")
        if any(not 1 <= step <= len(self.transfer.layers) for step in self.steps):
            raise RunFailed(f"Extra rows of steps {self.steps}; their transfer has {len(self.transfer.layers)}.")

    def __len__(self) -> int:
        return len(self.owners)

    def moved(self, place: Mapping[int, int]) -> ExtraRows:
        """With each owner at its new place; rows whose owner has none are left out."""
        kept = [(place[owner], step) for owner, step in zip(self.owners, self.steps, strict=True) if owner in place]
        return ExtraRows(self.transfer, tuple(owner for owner, _ in kept), tuple(step for _, step in kept))

    @functools.cached_property
    def in_pass(self) -> ExtraRows:
        """From a draft tree's nodes to the rows of its pass: the root is row 0."""
        return ExtraRows(self.transfer, tuple(owner + 1 for owner in self.owners), self.steps)

    def layout(self, num_real: int) -> Layout:
        """Their places behind so many real rows; a drafter whose rows stay the same asks for the same again."""
        if num_real not in self._layouts:
            self._layouts[num_real] = Layout(self, num_real)
        return self._layouts[num_real]

    @functools.cached_property
    def _layouts(self) -> dict[int, Layout]:
        return {}


@dataclass(frozen=True, eq=False)
class Foreseen:
    """Where the e extra rows of a pass end up; a drafter reads few of them, and only these are scored."""

    behind: Tensor
    """(rows, h): what the output layer would read of the pass's rows behind the real ones, in the model's dtype."""
    places: tuple[int, ...]
    """(e,): which of them each extra row is."""

    def __len__(self) -> int:
        return len(self.places)

    def states(self, first: int = 0, end: int | None = None) -> Tensor:
        """(k, h) of the first extra row to the last before `end`."""
        return self.behind[span(self.places[first:end])]


def span(places: Sequence[int]) -> slice | Tensor:
    """An index of these places: a slice where they are neighbours, for behind a pass a gather takes 40 µs."""
    first, end = min(places, default=0), max(places, default=-1) + 1
    return slice(first, end) if list(places) == list(range(first, end)) else torch.tensor(places)


@dataclass(frozen=True)
class Group:
    """Rows that enter a pass before one layer: extra rows by owner and step."""

    first: int
    members: tuple[int, ...]

    @property
    def end(self) -> int:
        """The row behind the last."""
        return self.first + len(self.members)


@dataclass(frozen=True)
class Owned:
    """Rows of the same steps that enter before one layer, behind neighbouring owners of a group."""

    steps: tuple[int, ...]
    rows: tuple[int, ...]
    """The owners."""
    first: int
    """Of them, among all owners of a layout."""

    @property
    def places(self) -> slice:
        """Where they stand among all owners of a layout."""
        return slice(self.first, self.first + len(self.rows))


class Layout:
    """Where the extra rows of one pass stand: behind its `num_real` rows, the first to enter first."""

    def __init__(self, extra: ExtraRows, num_real: int) -> None:
        self.extra, self.num_real = extra, num_real
        self.groups: dict[int, Group] = {}
        places = np.zeros(len(extra), np.int64)
        layers = [extra.transfer.layers[step - 1] for step in extra.steps]
        end = num_real
        for layer in sorted(set(layers)):
            pairs = sorted((extra.owners[i], extra.steps[i], i) for i, own in enumerate(layers) if own == layer)
            members = tuple(i for *_, i in pairs)
            self.groups[layer] = Group(end, members)
            places[list(members)] = range(end, end + len(members))
            end = self.groups[layer].end
        self.num_rows = end
        self.places = tuple((places - num_real).tolist())
        """The row of each extra row, counted from the first behind the real ones."""
        self.owners: list[int] = []
        """Rows whose states rows enter by, in the order in which they are asked for."""
        self._owned = {layer: self._owned_in(group) for layer, group in self.groups.items()}
        # Of the rows behind the real ones: whose context each shares, and which of them it sees.
        self._behind, self._sees = places - num_real, np.eye(end - num_real, dtype=np.bool_)
        owners, steps = np.array(extra.owners, np.int64), np.array(extra.steps, np.int64)
        is_seen = (owners[:, None] == owners[None, :]) & (steps[None, :] <= steps[:, None])
        self._sees[np.ix_(self._behind, self._behind)] = is_seen
        self._owner_rows = owners

    @property
    def form(self) -> Hashable:
        """All that decides which kernels let the rows enter: layouts of one form differ in `owners` alone."""
        parts = ((layer, part.steps, len(part.rows)) for layer, own in self._owned.items() for part in own)
        return self.extra.transfer, self.num_real, tuple(parts)

    def _owned_in(self, group: Group) -> list[Owned]:
        """Steps that neighbouring owners in a group have in common, with these owners' rows."""
        by_owner = itertools.groupby(group.members, key=self.extra.owners.__getitem__)
        steps_of = {owner: tuple(self.extra.steps[member] for member in members) for owner, members in by_owner}
        alike = itertools.groupby(steps_of, key=steps_of.__getitem__)
        found = []
        for steps, owners in alike:
            found.append(Owned(steps, tuple(owners), len(self.owners)))
            self.owners += found[-1].rows
        return found

    def depths(self, depths: Sequence[int]) -> list[int]:
        """Depth of every row behind the real ones, whose depths are given."""
        found = [0] * (self.num_rows - self.num_real)
        for place, owner, step in zip(self._behind.tolist(), self.extra.owners, self.extra.steps, strict=True):
            found[place] = depths[owner] + step
        return found

    def fill(self, mask: Mask, num_before: int) -> None:
        """Extra rows of `mask (rows, columns)`; those of the real rows are done.

        `num_before` columns stand before the pass's own.
        """
        behind = mask[self.num_real :]
        behind[self._behind] = mask[self._owner_rows]
        behind[:, num_before + self.num_real :] = self._sees

    def entering(self, layer: int, x: Tensor, owners: Tensor | None = None) -> Tensor:
        """States of the rows that enter before a layer, of those that are there: (rows, h) → (m, h).

        `owners`: this layout's, or those of another of its form, on the device of `x`.
        """
        made = []
        for part in self._owned[layer]:
            own = x[span(part.rows)] if owners is None else x.index_select(0, owners[part.places])
            made.append(self.extra.transfer.states(part.steps, own).to(x.dtype))
        return torch.cat(made) if len(made) > 1 else made[0]


@contextmanager
def riding(model: PreTrainedModel, layout: Layout | None, masks: Sequence[Tensor], num_before: int) -> Iterator[None]:
    """Let extra rows enter a transformers model's forward, in which every row is there from the start.

    Before its layer a row is a placeholder that nobody else sees; before the layer its state is
    overwritten and `masks`, each (1, 1, rows, columns) with `num_before` columns before the pass's own, let it be seen.
    """
    if layout is None:
        yield
        return
    wholes = [mask.clone() for mask in masks]
    for group in layout.groups.values():
        for mask in masks:
            mask[..., : group.first, num_before + group.first : num_before + group.end] = False
            mask[..., group.end :, num_before + group.first : num_before + group.end] = False

    def enter(layer: int, hidden: Tensor) -> Tensor:
        group = layout.groups[layer]
        columns = slice(num_before + group.first, num_before + group.end)
        for mask, whole in zip(masks, wholes, strict=True):
            mask[..., columns] = whole[..., columns]
        hidden = hidden.clone()
        hidden[0, group.first : group.end] = layout.entering(layer, hidden[0])
        return hidden

    layers = decoder_layers(model)
    handles = [layers[layer].register_forward_pre_hook(_hook(enter, layer)) for layer in layout.groups]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(enter: Any, layer: int) -> Any:
    return lambda module, args: (enter(layer, args[0]), *args[1:])


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The layers of a causal LM, in order. Raises RunFailed where they are not to be found."""
    wanted = model.config.get_text_config().num_hidden_layers
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == wanted:
            return module
    raise RunFailed(f"No list of {wanted} layers was found in a {model.config.model_type} model.")
