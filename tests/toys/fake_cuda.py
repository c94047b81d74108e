"""A CUDA device without one: tensors that know device, dtype and shape only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

CUDA = torch.device("cuda", 0)
_ops = torch.ops.aten


class WithoutGuard(TorchFunctionMode):
    """Indexing and copies by the operators below: a build without CUDA has no guard for the device they ask for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.copy_:
            return _ops.copy_(*args, **(kwargs or {}))
        if func is Tensor.__invert__:
            return _ops.bitwise_not(*args)
        if func is Tensor.__getitem__:
            x, indices = _viewed(*args)
            return _ops.index(x, indices) if indices else x
        if func is Tensor.__setitem__:
            (x, indices), value = _viewed(*args[:2]), args[2]
            if not isinstance(value, Tensor):
                return _ops.fill_(x, value)
            return _ops.index_put_(x, indices, value) if indices else _ops.copy_(x, value)
        return func(*args, **(kwargs or {}))


def _viewed(x: Tensor, index: Any) -> tuple[Tensor, list[Tensor | None]]:
    """What numbers, slices and new axes leave of a tensor, and the indices that are yet to be applied."""
    parts = index if isinstance(index, tuple) else (index,)
    if (gap := next((place for place, part in enumerate(parts) if part is ...), None)) is not None:
        missing = x.ndim - sum(part is not None and part is not ... for part in parts)
        parts = (*parts[:gap], *[slice(None)] * missing, *parts[gap + 1 :])
    later: dict[int, Tensor] = {}
    axis = 0
    for part in parts:
        if isinstance(part, int):
            x = _ops.select(x, axis, part)
            continue
        if part is None:
            x = _ops.unsqueeze(x, axis)
        elif isinstance(part, slice):
            x = _ops.slice(x, axis, part.start, part.stop, part.step or 1)
        else:
            later[axis] = torch.as_tensor(part, device=x.device)
        axis += 1
    return x, [later.get(place) for place in range(max(later) + 1)] if later else []


@contextmanager
def fake_cuda() -> Iterator[None]:
    """Within, tensors are fakes, and may be on `CUDA`."""
    with FakeTensorMode(allow_non_fake_inputs=True), WithoutGuard():
        yield
