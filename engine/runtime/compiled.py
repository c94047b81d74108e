"""Whether loops are compiled here: numba's `njit` where numba is installed, and else a loop as it is written.

Loops that every device needs, such as a search in a table, are decorated with this `njit` and give the same numbers
interpreted. Passes and kernels for the target's rows (cpu/) are worth nothing interpreted: without numba a CPU goes
through transformers' own forward and torch, as a GPU does (`runs_compiled`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from engine.kernel_cache import Turns

F = TypeVar("F", bound=Callable[..., Any])


try:
    import numba
except ImportError:
    HAS_COMPILER = False
else:
    HAS_COMPILER = True

_TURNS = Turns(Path(os.environ["NUMBA_CACHE_DIR"]))  # engine's own, which the package has set


def njit(**options: Any) -> Callable[[F], F]:
    """A decorator: numba's with these options; else the loop as it is, with integers that wrap around as compiled."""
    if not HAS_COMPILER:
        return np.errstate(all="ignore")
    return lambda function: _in_turns(numba.njit(**options)(function))


def _in_turns(loop: Any) -> Any:
    """The same loop, compiled while no other process compiles: whoever comes second reads what the first has kept.

    Its callees are compiled within its turn. The first parallel loop makes numba's pool, and that sets OpenMP's number
    of threads, which is torch's: it is put back.
    """
    compile_now = loop.compile

    def compile_in_turn(signature: Any) -> Any:
        num_threads = torch.get_num_threads()
        try:
            with numba.core.compiler_lock.global_compiler_lock, _TURNS:  # numba's lets one thread in
                return compile_now(signature)
        finally:
            if torch.get_num_threads() != num_threads:
                torch.set_num_threads(num_threads)

    loop.compile = compile_in_turn
    return loop


def entry(**options: Any) -> Callable[[F], F]:
    """A decorator for a loop that Python calls."""
    return njit(cache=True, nogil=True, no_cfunc_wrapper=True, **options)


def inner(**options: Any) -> Callable[[F], F]:
    """For one that compiled loops alone call, from several places."""
    return entry(no_cpython_wrapper=True, **options)


def part(**options: Any) -> Callable[[F], F]:
    """For one that is called in one place: written into its caller, where alone it would be compiled once more."""
    return inner(inline="always", **options)


def runs_compiled(device: torch.device) -> bool:
    """Whether the compiled pass and kernels of runtime/cpu/ serve this device; else nothing there is imported."""
    return HAS_COMPILER and device.type == "cpu"
