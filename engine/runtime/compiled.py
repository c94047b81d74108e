"""Whether loops are compiled here: numba's `njit` where numba is installed, and else a loop as it is written.

Loops that every device needs, such as a search in a table, are decorated with this `njit` and give the same numbers
interpreted. Passes and kernels for the target's rows (cpu/) are worth nothing interpreted: without numba a CPU goes
through transformers' own forward and torch, as a GPU does (`runs_compiled`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

F = TypeVar("F", bound=Callable[..., Any])


try:
    import numba
except ImportError:
    HAS_COMPILER = False
else:
    HAS_COMPILER = True


ENTRY = {"cache": True, "nogil": True, "no_cfunc_wrapper": True}
"""numba's options for a loop that Python calls."""
INNER = {**ENTRY, "no_cpython_wrapper": True}
"""For one that compiled loops alone call, from several places."""
PART = {**INNER, "inline": "always"}
"""For one that is called in one place: it is written into its caller, where alone it would be compiled once more."""


def njit(**options: Any) -> Callable[[F], F]:
    """A decorator: numba's with these options; else the loop as it is, with integers that wrap around as compiled."""
    if not HAS_COMPILER:
        return np.errstate(all="ignore")
    compiled: Callable[[F], F] = numba.njit(**options)
    return compiled


def runs_compiled(device: torch.device) -> bool:
    """Whether the compiled pass and kernels of runtime/cpu/ serve this device; else nothing there is imported."""
    return HAS_COMPILER and device.type == "cpu"
