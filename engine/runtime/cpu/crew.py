"""Threads that share a compiled pass: one start a pass, and no wait for a thread that the system has put aside.

A pass is a row of numbered units of work in phases. Whoever is free takes the next unit as soon as the phases before
it are done; so a thread that comes late, or never, only leaves its share to others. Waiting threads look a few times
and then give way to other programs. Knows threads and counters; knows no model.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from engine.cores import usable_cores
from engine.runtime.compiled import entry, inner
from engine.runtime.cpu.vectors import atomic_add, atomic_load, atomic_store, atomic_swap, give_way, pause

NEXT, DONE, OPEN, INSIDE = 0, 16, 32, 48
"""Counters, each in a cache line of its own: next unit, units done, number of the open pass, threads in it."""
_NUM_COUNTERS = 64
_LOOKS = 200
"""Times that a thread looks, some ten microseconds, before it gives way."""
Control = np.ndarray[Any, np.dtype[np.int64]]
_compiled, _inner = entry(), inner()


@_inner
def wait(looks: int) -> int:
    """One more look; returns how many there were."""
    if looks < _LOOKS:
        pause()
    else:
        give_way()
    return looks + 1


@_inner
def enter(control: Control, number: int) -> bool:
    """Whether this thread may work on the pass of this number; one that may leaves with `leave`."""
    atomic_add(control, INSIDE, 1)
    if atomic_load(control, OPEN) == number:
        return True
    atomic_add(control, INSIDE, -1)
    return False


@_inner
def leave(control: Control) -> None:
    """Say that the calling thread touches nothing of the pass any more."""
    atomic_add(control, INSIDE, -1)


@_inner
def take(control: Control, unit: int, begin: int) -> bool:
    """Whether `unit`, of a phase that begins at unit `begin`, is this thread's: all before are done and it is free."""
    is_begun = atomic_load(control, DONE) >= begin
    return bool(is_begun and atomic_swap(control, NEXT, unit, unit + 1))


@_inner
def finish(control: Control, total: int) -> None:
    """Wait until all units are done."""
    looks = 0
    while atomic_load(control, DONE) < total:
        looks = wait(looks)


@_compiled
def _open(control: Control, number: int) -> None:
    """Begin a pass, when nobody is in the one before."""
    atomic_store(control, OPEN, 0)
    looks = 0
    while atomic_load(control, INSIDE) > 0:
        looks = wait(looks)
    atomic_store(control, NEXT, 0)
    atomic_store(control, DONE, 0)
    atomic_store(control, OPEN, number)


@_compiled
def _close(control: Control) -> None:
    atomic_store(control, OPEN, 0)


class Crew:
    """The threads of this process; one pass at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._apart = threading.local()
        self._control: Control = np.zeros(_NUM_COUNTERS, np.int64)
        self._number = 0
        self._is_dismissed = False
        self._job: tuple[int, Callable[..., None], tuple[Any, ...]] | None = None
        self._gates: list[threading.Lock] = []
        self._threads: list[threading.Thread] = []

    @property
    def size(self) -> int:
        """Threads that a pass may have, the caller's among them."""
        if self._is_alone:
            return 1
        return max(1, min(torch.get_num_threads(), usable_cores()))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let passes of the calling thread run in it alone, and wait for nobody else's."""
        self._apart.is_alone = True
        try:
            yield
        finally:
            self._apart.is_alone = False

    @property
    def _is_alone(self) -> bool:
        return bool(getattr(self._apart, "is_alone", False))

    def run(self, function: Callable[..., None], *arguments: Any, num_threads: int) -> None:
        """Call compiled `function(thread, number, control, *arguments)` in so many threads; the caller's is 0."""
        if self._is_alone:
            control: Control = np.zeros(_NUM_COUNTERS, np.int64)
            _open(control, 1)
            function(0, 1, control, *arguments)
            return
        with self._lock:
            self._number += 1
            _open(self._control, self._number)
            job = (self._number, self._control, *arguments)
            try:
                if num_threads > 1:
                    self._job = (num_threads, function, job)
                    self._wake(num_threads - 1)
                function(0, *job)
            finally:
                _close(self._control)
                self._job = None  # a model that is put away must not be held by its last pass

    def _wake(self, num_helpers: int) -> None:
        while len(self._gates) < num_helpers:
            self._hire()
        for gate in self._gates[:num_helpers]:
            if gate.locked():
                gate.release()

    def _hire(self) -> None:
        gate = threading.Lock()
        gate.acquire()
        number = len(self._gates) + 1
        thread = threading.Thread(target=self._serve, args=(number, gate), name=f"specviz-pass-{number}", daemon=True)
        self._gates.append(gate)
        self._threads.append(thread)
        thread.start()

    def _serve(self, number: int, gate: threading.Lock) -> None:
        while True:
            gate.acquire()
            if self._is_dismissed:
                return
            self._help(number)

    def _help(self, thread: int) -> None:
        """Share in the job of now, which may be a later one than this thread was woken for, and have no room for it."""
        if (job := self._job) is not None and thread < job[0]:
            job[1](thread, *job[2])

    def dismiss(self) -> None:
        """Let the threads end."""
        self._is_dismissed = True
        for gate in self._gates:
            if gate.locked():
                gate.release()
        for thread in self._threads:
            thread.join(timeout=1)
        self.forget()

    def forget(self) -> None:
        """Begin anew, as in a forked process, where no thread but the caller's is left."""
        self.__init__()  # type: ignore[misc]


CREW = Crew()
atexit.register(CREW.dismiss)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CREW.forget)
