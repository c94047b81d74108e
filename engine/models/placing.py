"""Where a model's weights go: to one device, or spread over the GPUs and the memory of this machine.

Decided by numbers before anything is read. What does not fit is refused with what it needs, what is free, and what
would fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from engine.errors import BadInput
from engine.models import memory, quantised
from engine.models.presets import presets

_HEADROOM = 0.9
"""Of a device's free memory, what weights may take where a model is spread: passes need some too."""


@dataclass(frozen=True)
class Wish:
    """A model that is to be loaded."""

    name: str
    device: torch.device
    dtype: torch.dtype
    num_bytes: int
    """Weights and some text."""
    may_spread: bool
    """Whether other devices may hold parts of it."""

    def placed(self) -> dict[str, Any]:
        """What transformers is told about places. Raises BadInput where the model fits nowhere."""
        free = memory.free_bytes(self.device)
        if free is None or self.num_bytes <= free:
            return {"device_map": {"": str(self.device)}} if self.device.type == "cuda" else {}
        rooms = self._rooms()
        if self.num_bytes <= sum(rooms.values()):
            return {"device_map": "auto", "max_memory": rooms}
        raise BadInput(self._refusal(free, rooms))

    def _rooms(self) -> dict[int | str, int]:
        """Bytes that weights may take by device, where they may be spread."""
        if not self.may_spread or self.device.type != "cuda":
            return {}
        devices = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
        rooms: dict[int | str, int] = {d.index: memory.free_bytes(d) or 0 for d in devices}
        rooms["cpu"] = memory.free_bytes(torch.device("cpu")) or 0
        return {place: int(_HEADROOM * free) for place, free in rooms.items()}

    def _refusal(self, free: int, rooms: dict[int | str, int]) -> str:
        also = f", and {memory.in_gigabytes(sum(rooms.values()))} on all devices and in memory" if rooms else ""
        return (
            f"The model {self.name} needs {memory.in_gigabytes(self.num_bytes)} on {self.device} for its weights and "
            f"some text, and {memory.in_gigabytes(free)} are free{also}; {self._fitting(free)}."
        )

    def _fitting(self, free: int) -> str:
        """What would fit."""
        found = []
        if self.dtype.itemsize > 2 and self.num_bytes // 2 <= free:
            found.append("--dtype bf16")
        if self.device.type == "cuda":
            sizes = {kind: quantised.num_bytes(kind, self.num_bytes, self.dtype) for kind in quantised.BITS}
            found += [f"--dtype {kind} ({memory.in_gigabytes(n)})" for kind, n in sizes.items() if n <= free]
        smaller = [preset for preset in presets().values() if preset.gigabytes and 1e9 * preset.gigabytes <= free]
        found += [f"{preset.name} ({preset.gigabytes:g} GB)" for preset in smaller if preset.name != self.name]
        return f"what would fit: {', '.join(found)}" if found else "stop what else runs there"
