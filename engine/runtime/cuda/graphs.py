"""Work captured once as a CUDA graph and replayed; where there is no such device, simply done.

Graphs of one room share their memory, so they are replayed one behind the other, and what one gives is read before the
next is played. What a device refuses to capture is done kernel by kernel from then on, and the reason is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from engine.errors import first_line

Outputs = tuple[Tensor, ...]
_WARM_UPS = 2


def can_capture(device: torch.device) -> bool:
    """Whether graphs can be captured for a device here."""
    return _is_here(device)


def _is_here(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_available()


class Graphs:
    """What was captured, by what decides about its kernels."""

    def __init__(self, device: torch.device, refusals: list[str]) -> None:
        """`refusals`: why nothing is captured any more; empty so far, and shared by all who say so together."""
        self.device, self.refusals = device, refusals
        self._seen: set[Hashable] = set()
        self.forget()

    def forget(self) -> None:
        """Of addresses that are no more."""
        self._captured: dict[Hashable, tuple[Callable[[], None], Outputs]] = {}
        self._pool = torch.cuda.graph_pool_handle() if _is_here(self.device) else None

    def __len__(self) -> int:
        return len(self._captured)

    def run(self, key: Hashable, work: Callable[[], Outputs], *, is_rare: bool = False) -> Outputs:
        """What `work` gives: it reads and writes tensors alone, at addresses that stay as long as its key.

        The tensors that come back are overwritten by the next run. `is_rare`: it is captured when it comes again.
        """
        if self.refusals or not can_capture(self.device):
            return work()
        if is_rare and key not in self._seen:
            self._seen.add(key)
            return work()
        if key not in self._captured:
            try:
                self._captured[key] = capture(work, self.device, self._pool)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                self.refusals.append(f"this device did not capture them ({first_line(error)})")
                return work()
        replay, found = self._captured[key]
        replay()
        return found


def capture(work: Callable[[], Outputs], device: torch.device, pool: Any) -> tuple[Callable[[], None], Outputs]:
    """What does the work again, and the tensors that it writes its results to."""
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):  # libraries choose kernels and memory before anything is captured
        for _ in range(_WARM_UPS):
            work()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.cuda.graph(graph, pool, capture_error_mode="thread_local"):
        found = work()
    return graph.replay, found
