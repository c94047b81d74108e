"""How much memory arrays take that objects hold: tensors' storages and numpy's buffers, each counted once.

Counted as they are held, in whatever form a pass reads them: a copy in another order counts again. Python's own objects
are not counted, and long lists of them not looked into.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

LONGEST = 10_000
"""Entries of a container of which each may hold an array."""
_OURS = ("engine.", "transformers.", "torch.nn.")
_ARRAYS = (torch.Tensor, np.ndarray)
_Parts = Callable[[Any], Iterable[object]]


def held_bytes(root: object, counted: set[int], closed: tuple[type, ...] = ()) -> int:
    """Bytes of the arrays that `root` holds, directly or through what it holds.

    `counted`: where arrays begin that were counted before; those found here join them. `closed`: not looked into.
    """
    total = 0
    seen: set[int] = set()
    ways: dict[type, _Parts | None] = {}
    waiting = [root]
    while waiting:
        found = waiting.pop()
        kind = type(found)
        if kind not in ways:  # worked out once: there are thousands of numbers and texts
            ways[kind] = _parts_of(kind)
        parts = ways[kind]
        if parts is None or id(found) in seen or isinstance(found, closed):
            continue
        seen.add(id(found))
        if isinstance(found, _ARRAYS):
            begin, size = _memory(found)
            total += 0 if begin in counted else size
            counted.add(begin)
        else:
            waiting.extend(parts(found))
    return total


def _memory(array: torch.Tensor | np.ndarray[Any, Any]) -> tuple[int, int]:
    """Where the memory behind an array begins, and how much it is; a view's is that of the whole."""
    if isinstance(array, torch.Tensor):
        storage = array.untyped_storage()
        return (storage.data_ptr(), storage.nbytes()) if array.device.type != "meta" else (0, 0)
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.ctypes.data, array.nbytes


def _parts_of(kind: type) -> _Parts | None:
    """How the parts of an object of this kind are had; None where it is no array and holds none."""
    if issubclass(kind, _ARRAYS):
        return lambda found: ()
    if issubclass(kind, Mapping):
        return lambda found: found.values() if len(found) <= LONGEST else ()
    if issubclass(kind, list | tuple | set | frozenset):
        return lambda found: found if len(found) <= LONGEST else ()
    if issubclass(kind, type) or not (issubclass(kind, nn.Module) or kind.__module__.startswith(_OURS)):
        return None
    slots = getattr(kind, "__slots__", ())
    return lambda found: [*getattr(found, "__dict__", {}).values(), *(getattr(found, name, None) for name in slots)]
