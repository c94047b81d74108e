"""Small values on their way between host and device: those of one moment together, so that a step waits seldom."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def upload(values: Tensor, device: torch.device) -> Tensor:
    """The values on a device. Nobody waits: they go from memory that a CUDA device reads when it comes to it."""
    if device.type == "cuda" and torch.cuda.is_available():
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def rows(x: Tensor, places: Sequence[int]) -> Tensor:
    """Some rows of a tensor (n, …), on its device."""
    return x.index_select(0, upload(torch.tensor(places, dtype=torch.int64), x.device))


def download(*parts: Tensor) -> list[Tensor]:
    """Tensors of one shape on the host, in float64, in which ids are exact; a device is waited for once."""
    return list(torch.stack([part.double() for part in parts]).cpu())
