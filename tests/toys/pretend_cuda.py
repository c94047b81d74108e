"""A CUDA device with numbers and without a GPU: tensors that compute on the CPU and say that they are on the device.

Whatever mixes both devices raises, as CUDA does; what makes a host wait for a real device is counted. So whole sessions
run, and trainings, where fakes without numbers (fake_cuda.py) end at the first number that is looked at.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from engine.runtime import crossings, held, laps
from toys.fake_cuda import CUDA, WithoutGuard

_ops = torch.ops.aten
_TAKES_HOST_INDICES = {
    _ops.index.Tensor,
    _ops.index_put_.default,
    _ops.index_put.default,
    _ops._index_put_impl_.default,
}
_CROSSES = {_ops.copy_.default, _ops._to_copy.default}


class OnCuda(Tensor):
    """A tensor whose numbers are `numbers`, on the host."""

    numbers: Tensor

    @staticmethod
    def __new__(cls: type[OnCuda], numbers: Tensor) -> OnCuda:
        found = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            numbers.size(),
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=CUDA,
        )
        found.numbers = numbers
        return found  # type: ignore[no-any-return]

    def __repr__(self, **kwargs: Any) -> str:
        return f"OnCuda({self.numbers!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {}, Counter())


def _on_host(found: Any) -> Any:
    return found.numbers if isinstance(found, OnCuda) else found


def _on_device(found: Any) -> Any:
    return OnCuda(found) if isinstance(found, Tensor) and not isinstance(found, OnCuda) else found


def _computed(func: Any, args: Any, kwargs: Any, waits: Counter[str]) -> Any:
    tensors = [part for part in tree_flatten((args, kwargs))[0] if isinstance(part, Tensor)]
    ours = [part for part in tensors if isinstance(part, OnCuda)]
    wanted = kwargs.get("device")
    is_wanted_there = wanted is not None and torch.device(wanted).type == "cuda"
    host = {key: torch.device("cpu") if key == "device" and is_wanted_there else value for key, value in kwargs.items()}
    if func is _ops._local_scalar_dense.default and ours:
        waits["download"] += 1
        return func(ours[0].numbers)
    if func in _CROSSES:
        return _crossed(func, args, host, wanted, waits)
    foreign = [part for part in tensors if not isinstance(part, OnCuda) and part.ndim > 0]
    if ours and foreign:
        if func not in _TAKES_HOST_INDICES or not isinstance(args[0], OnCuda):
            raise RuntimeError(f"Expected all tensors to be on the same device: {func} mixes cuda:0 and cpu.")
        waits["upload"] += 1
    if func is _ops.nonzero.default and ours:
        waits["download"] += 1
    found = func(*tree_map(_on_host, args), **tree_map(_on_host, host))
    if not ours and not is_wanted_there:
        return found
    if ours and isinstance(found, Tensor) and any(found is part.numbers for part in ours):
        return next(part for part in ours if found is part.numbers)  # what was changed in place
    return tree_map(_on_device, found)


def _crossed(func: Any, args: Any, host: Any, wanted: Any, waits: Counter[str]) -> Any:
    """A copy, which may go from one device to the other; what comes from pageable memory is waited for as well."""
    if func is _ops.copy_.default:
        into, other = args[0], args[1]
        if isinstance(into, OnCuda) != isinstance(other, OnCuda) and other.ndim > 0:
            waits["upload" if isinstance(into, OnCuda) else "download"] += 1
        _on_host(into).copy_(_on_host(other))
        return into
    (given,) = args
    is_there = isinstance(given, OnCuda)
    goes_there = is_there if wanted is None else torch.device(wanted).type == "cuda"
    if is_there != goes_there:
        waits["upload" if goes_there else "download"] += 1
    found = func(_on_host(given), **host)
    return OnCuda(found) if goes_there else found


_NUMBERS: dict[Any, Any] = {
    Tensor.__float__: float,
    Tensor.__int__: int,
    Tensor.__index__: int,
    Tensor.__bool__: bool,
    Tensor.item: lambda number: number,
}


class _WithNumbers(WithoutGuard):
    """Numbers that the host asks for; a build without CUDA has no guard for these either."""

    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and str(kwargs.get("device")).startswith("cuda"):
            self.waits["upload"] += 1
            return OnCuda(func(*map(_on_host, args), **{**kwargs, "device": "cpu"}))
        if not args or not isinstance(args[0], OnCuda):
            return super().__torch_function__(func, types, args, kwargs)
        if func in _NUMBERS:
            self.waits["download"] += 1
            return _NUMBERS[func](args[0].numbers.item())
        if func is Tensor.tolist:
            self.waits["download"] += 1
            return args[0].numbers.tolist()
        if func is Tensor.contiguous and not args[0].requires_grad:
            return OnCuda(args[0].numbers.contiguous())
        if func is Tensor.__getitem__ and not args[0].requires_grad:
            return OnCuda(args[0].numbers[self._indices(args[1])])
        if func is Tensor.__setitem__:
            args[0].numbers[self._indices(args[1])] = _refused(args[2])
            return None
        return super().__torch_function__(func, types, args, kwargs)

    def _indices(self, index: Any) -> Any:
        """As they stand on the host; those that are not on the device are uploaded."""
        parts = index if isinstance(index, tuple) else (index,)
        self.waits["upload"] += sum(type(part) in (list, Tensor) for part in parts)
        self.waits["download"] += sum(isinstance(part, OnCuda) and part.dtype == torch.bool for part in parts)
        found = tuple(map(_on_host, parts))
        return found if isinstance(index, tuple) else found[0]


def _refused(value: Any) -> Any:
    """What is written to the device, on the host; a host's tensor is refused where it is no number."""
    if isinstance(value, Tensor) and not isinstance(value, OnCuda) and value.ndim:
        raise RuntimeError("Expected all tensors to be on the same device: a tensor of the host is written to cuda:0.")
    return _on_host(value)


class Waits(Counter[str]):
    """How often the host waited, by what for; and how often it told the device to do something."""

    launches = 0

    def launch(self, func: Any, found: Any) -> None:
        """An operator gave this: views and memory alone are no work for the device."""
        if not func.is_view and "empty" not in func.__name__:
            self.launches += any(isinstance(part, OnCuda) for part in tree_flatten(found)[0])

    @contextmanager
    def one_launch(self) -> Iterator[None]:
        """What is done within is one launch, as a graph's replay is."""
        before = self.launches
        yield
        self.launches = before + 1


class _Pretending(TorchDispatchMode):
    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = _computed(func, args, kwargs or {}, self.waits)
        self.waits.launch(func, found)
        return found


@contextmanager
def pretended_cuda() -> Iterator[Waits]:
    """Within, tensors may be on the device; tells how often the host waited for it: downloads, crossings, waits."""
    waits = Waits()

    def synchronise(device: object = None) -> None:
        waits["synchronise"] += 1

    with pytest.MonkeyPatch.context() as patched, _Pretending(waits), _WithNumbers(waits):
        # Inference mode counts no versions of tensors, which views of wrapped ones ask for.
        patched.setattr(torch.inference_mode, "__enter__", _without_gradients)
        patched.setattr(torch.inference_mode, "__exit__", _as_before)
        patched.setattr(torch.__future__, "_overwrite_module_params_on_conversion", True)
        patched.setattr(torch.cuda, "_lazy_init", lambda: None)
        patched.setattr(torch.cuda, "synchronize", synchronise)
        patched.setattr(torch.cuda, "get_device_name", lambda device=None: "a pretended device")
        card = SimpleNamespace(total_memory=16 * 10**9, major=9, minor=0)
        patched.setattr(torch.cuda, "get_device_properties", lambda device=None: card)
        patched.setattr(laps.Laps, "_event", lambda self: _Event())
        counted = held._memory
        patched.setattr(held, "_memory", lambda array: counted(_on_host(array)))
        patched.setattr(crossings, "upload", _pinned)  # from memory that the device reads by itself
        yield waits


class _Event:
    """When the device is done: at once."""

    def __init__(self) -> None:
        self.ns = time.perf_counter_ns()

    def synchronize(self) -> None:
        """It is over."""

    def elapsed_time(self, later: _Event) -> float:
        return (later.ns - self.ns) / 1e6


def _without_gradients(mode: Any) -> None:
    mode.had_gradients = torch.is_grad_enabled()
    torch.set_grad_enabled(False)


def _as_before(mode: Any, *error: Any) -> None:
    torch.set_grad_enabled(mode.had_gradients)


def _pinned(values: Tensor, device: torch.device) -> Tensor:
    return OnCuda(values) if device.type == "cuda" else values


def moved(model: Any) -> Any:
    """A model whose weights are on the device."""
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = nn.Parameter(OnCuda(weight.detach()), requires_grad=False)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = OnCuda(buffer)
    return model
