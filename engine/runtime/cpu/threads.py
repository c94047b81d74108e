"""Threads of compiled loops: as many as torch's, and one caller at a time.

numba keeps a pool of its own. Where OpenMP is not to be had, that pool must not be entered by two callers at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numba
import torch

_LOCK = threading.Lock()
_MOST: int = numba.get_num_threads()


@contextmanager
def compiled_threads() -> Iterator[None]:
    """Hold numba's pool for one call of a compiled loop."""
    with _LOCK:
        numba.set_num_threads(min(torch.get_num_threads(), _MOST))
        yield
