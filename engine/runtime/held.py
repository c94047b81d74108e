"""How much memory arrays take that objects hold: tensors' storages and numpy's buffers, each counted once.

Counted as they are held, in whatever form a pass reads them: a copy in another order counts again. Python's own objects
are not counted, and long lists of them not looked into.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

LONGEST = 10_000
"""Entries of a container of which each may hold an array."""
_OURS = ("engine.", "transformers.", "torch.nn.")


def held_bytes(root: object, counted: set[int], closed: tuple[type, ...] = ()) -> int:
    """Bytes of the arrays that `root` holds, directly or through what it holds.

    `counted`: where arrays begin that were counted before; those found here join them. `closed`: not looked into.
    """
    total = 0
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, closed):
            continue
        seen.add(id(found))
        if isinstance(found, torch.Tensor | np.ndarray):
            begin, size = _memory(found)
            total += 0 if begin in counted else size
            counted.add(begin)
        else:
            waiting.extend(_parts(found))
    return total


def _memory(array: torch.Tensor | np.ndarray[Any, Any]) -> tuple[int, int]:
    """Where the memory behind an array begins, and how much it is; a view's is that of the whole."""
    if isinstance(array, torch.Tensor):
        storage = array.untyped_storage()
        return (storage.data_ptr(), storage.nbytes()) if array.device.type != "meta" else (0, 0)
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.ctypes.data, array.nbytes


def _parts(found: object) -> Iterator[object]:
    if isinstance(found, Mapping | list | tuple | set | frozenset):
        if len(found) <= LONGEST:
            yield from found.values() if isinstance(found, Mapping) else found
    elif not isinstance(found, type) and (isinstance(found, nn.Module) or type(found).__module__.startswith(_OURS)):
        yield from getattr(found, "__dict__", {}).values()
        yield from (getattr(found, name, None) for name in getattr(type(found), "__slots__", ()))
