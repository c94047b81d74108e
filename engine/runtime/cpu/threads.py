"""Threads of compiled loops: as many as torch's, and one caller at a time.

numba keeps a pool of its own. Where OpenMP is not to be had, that pool must not be entered by two callers at once.
Where it is, making the pool sets OpenMP's number of threads, which is torch's: it is put back (as in compiled.py).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numba
import torch
from numba.core import config
from numba.np.ufunc import parallel

_LOCK = threading.Lock()
_MOST: int = vars(config)["NUMBA_NUM_THREADS"]


@contextmanager
def compiled_threads() -> Iterator[None]:
    """Hold numba's pool for one call of a compiled loop."""
    with _LOCK:
        _make_pool()
        numba.set_num_threads(min(torch.get_num_threads(), _MOST))
        yield


@functools.cache
def _make_pool() -> None:
    before = torch.get_num_threads()
    parallel._launch_threads()
    torch.set_num_threads(before)
