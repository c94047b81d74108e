"""Work on tensors alone, captured by the sizes of what it is given, at addresses that graphs can rely on.

Lists of the host go up in one stretch of bytes, tensors of the device are copied in, and what comes out is copied out,
so that whoever asks next finds its own. Sizes of first dimensions are rounded up to buckets of rows; those that fill up
are zeros of lists, and of tensors whatever was there. Work of more rows than the largest bucket is not captured. Knows
tensors; no models and no passes.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from engine.runtime import crossings
from engine.runtime.cuda.buckets import ROWS, rows_bucket, width_bucket
from engine.runtime.cuda.graphs import Graphs, Outputs

_TOLD_BYTES = 1 << 18
"""As much as a bucket's pass beside all rows that may wait tells; more is a pass that is not captured."""
Listed = np.ndarray[Any, Any]
"""int64, or bool behind all that are."""
Work = Callable[..., Outputs]
"""From lists and tensors, on the device, to what is to be copied out; the host looks at none of them."""


class Captured:
    """Addresses, and what was captured for them; one piece of work at a time."""

    def __init__(self, device: torch.device, refusals: list[str] | None = None) -> None:
        """`refusals`: of whom this shares them; see graphs.py."""
        self.graphs = Graphs(device, [] if refusals is None else refusals)
        self.told = torch.empty(_TOLD_BYTES, dtype=torch.uint8, device=device)
        self._entered: dict[Hashable, Tensor] = {}
        self._lock = threading.Lock()

    def run(self, key: Hashable, work: Work, told: Sequence[Listed] = (), given: Sequence[Tensor] = ()) -> Outputs:
        """What `work(*told, *given)` gives, in tensors that stay. The key says all of it that is no size."""
        with self._lock, torch.inference_mode():
            lists = [filled_up(part) for part in told]
            inputs = self._views(lists)
            inputs += [self.enter(part, rows_bucket(len(part)), place) for place, part in enumerate(given)]
            if max(map(len, inputs)) > ROWS[-1]:
                return work(*inputs)
            sizes = tuple((part.shape, part.dtype) for part in inputs)
            return tuple(part.clone() for part in self.graphs.run((key, sizes), lambda: work(*inputs)))

    def tell(self, told: Tensor) -> Tensor:
        """Bytes (n,) to the device, at the same address each time."""
        if len(told) > len(self.told):
            self.graphs.forget()
            self.told = torch.empty(2 * len(told), dtype=torch.uint8, device=self.told.device)
        self.told[: len(told)].copy_(crossings.upload(told, self.told.device))
        return self.told

    def enter(self, states: Tensor, num_rows: int, place: int = 0) -> Tensor:
        """A tensor (m, …) among so many rows, at the same address each time for the same place and sizes."""
        shape = (num_rows, *states.shape[1:])
        key = (place, shape, states.dtype)
        if key not in self._entered:
            self._entered[key] = states.new_zeros(shape)
        self._entered[key][: len(states)].copy_(states)
        return self._entered[key]

    def _views(self, lists: Sequence[Listed]) -> list[Tensor]:
        """The lists on the device, by one upload."""
        if not lists:
            return []
        memory = self.tell(torch.from_numpy(np.concatenate([part.reshape(-1).view(np.uint8) for part in lists])))
        ends = np.cumsum([part.nbytes for part in lists]).tolist()
        found = []
        for part, start, end in zip(lists, [0, *ends], ends, strict=False):
            dtype = torch.int64 if part.dtype == np.int64 else torch.bool
            found.append(memory[start:end].view(dtype).view(part.shape))
        return found


class Called:
    """The same work where nothing is captured: simply done, on what it is given."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def run(self, key: Hashable, work: Work, told: Sequence[Listed] = (), given: Sequence[Tensor] = ()) -> Outputs:
        """What `work(*told, *given)` gives."""
        with torch.inference_mode():
            return work(*(crossings.upload(torch.from_numpy(part), self.device) for part in told), *given)


R = TypeVar("R", bound=Captured)
T = TypeVar("T")


class Rooms(Generic[R]):
    """Captured rooms that one session uses after another, so that graphs outlive a chat."""

    def __init__(self, make: Callable[[], R]) -> None:
        self._make = make
        self._idle: list[R] = []

    def lend(self, use: Callable[[R], T]) -> T:
        """What uses a room; it is the next one's when that is gone."""
        room = self._idle.pop() if self._idle else self._make()
        user = use(room)
        weakref.finalize(user, self._idle.append, room).atexit = False
        return user


def looks(seen: Listed) -> Listed:
    """Who looks at whom, (m, n), in columns that are rounded up."""
    return np.pad(seen, ((0, 0), (0, width_bucket(max(1, seen.shape[1])) - seen.shape[1])))


def filled_up(part: Listed, value: int = 0) -> Listed:
    """A list of m rows as long as the bucket that they are in."""
    missing = rows_bucket(len(part)) - len(part)
    if not missing:
        return np.ascontiguousarray(part)
    return np.pad(part, ((0, missing), *[(0, 0)] * (part.ndim - 1)), constant_values=value)
