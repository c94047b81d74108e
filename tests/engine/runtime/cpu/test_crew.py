"""Threads of a pass: every unit is done once, whoever comes late, comes twice, or never comes."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numba import njit

from engine.runtime.cpu import crew
from engine.runtime.cpu.crew import CREW, DONE, INSIDE, NEXT, OPEN, Control, Crew, enter, finish, leave, take
from engine.runtime.cpu.vectors import atomic_add, atomic_load

WAIT = 600
"""Seconds after which a thread is given up; nothing is as long as that unless it is wrong."""


@njit(nogil=True, cache=True)
def mark(thread: int, number: int, control: Control, marks: Any, by: Any) -> None:
    """Count each unit that is done, and who does it."""
    if not enter(control, number):
        return
    unit = atomic_add(control, NEXT, 1)
    while unit < len(marks):
        atomic_add(marks, unit, 1)
        by[thread] += 1
        atomic_add(control, DONE, 1)
        unit = atomic_add(control, NEXT, 1)
    if thread == 0:
        finish(control, len(marks))
    leave(control)


@njit(nogil=True, cache=True)
def add_in_turn(thread: int, number: int, control: Control, line: Any, width: int) -> None:
    """Phases of `width` units, each of which reads what all units of the phase before have written."""
    if not enter(control, number):
        return
    total = len(line) - width
    while atomic_load(control, NEXT) < total:
        unit = atomic_load(control, NEXT)
        begin = unit // width * width
        if unit < total and take(control, unit, begin):
            line[width + unit] = line[begin : begin + width].sum() + unit
            atomic_add(control, DONE, 1)
    if thread == 0:
        finish(control, total)
    leave(control)


@pytest.fixture
def group() -> Iterator[Crew]:
    found = Crew()
    yield found
    found.dismiss()


def marked(group: Crew, num_units: int, num_threads: int) -> Any:
    marks = np.zeros(num_units, np.int64)
    group.run(mark, marks, np.zeros(num_threads, np.int64), num_threads=num_threads)
    return marks


@pytest.mark.parametrize("num_threads", [1, 2, 3, 4])
@pytest.mark.parametrize("num_units", [0, 1, 5, 1000])
def test_every_unit_is_done_once(group: Crew, num_units: int, num_threads: int) -> None:
    for _ in range(5):
        assert (marked(group, num_units, num_threads) == 1).all()


@pytest.mark.parametrize("num_threads", [1, 2, 4])
def test_a_phase_begins_when_the_one_before_is_done(group: Crew, num_threads: int) -> None:
    line, wanted = np.ones(3 * 200, np.int64), np.ones(3 * 200, np.int64)
    for unit in range(len(wanted) - 3):
        wanted[3 + unit] = wanted[unit // 3 * 3 : unit // 3 * 3 + 3].sum() + unit
    group.run(add_in_turn, line, 3, num_threads=num_threads)
    assert np.array_equal(line, wanted)


def test_jobs_that_follow_each_other_at_once_have_no_part_of_each_other(group: Crew) -> None:
    for turn in range(1500):
        assert (marked(group, 1 + turn % 7, 1 + turn % 4) == 1).all()
    assert group._control[INSIDE] >= 0
    assert group._control[OPEN] == 0


def test_several_callers_take_turns(group: Crew) -> None:
    failed: list[int] = []

    def call(caller: int) -> None:
        for turn in range(100):
            if not (marked(group, 20 + caller, 1 + turn % 4) == 1).all():
                failed.append(caller)

    callers = [threading.Thread(target=call, args=(caller,)) for caller in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(WAIT)
        assert not caller.is_alive()
    assert failed == []


def test_a_pass_is_done_without_a_thread_that_never_wakes(group: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "_wake", lambda num_helpers: None)
    assert (marked(group, 50, 4) == 1).all()


def test_a_thread_that_wakes_too_late_finds_its_pass_closed(group: Crew) -> None:
    stale: list[tuple[Any, ...]] = []
    group.run(lambda *job: stale.append(job), np.zeros(3, np.int64), np.zeros(4, np.int64), num_threads=1)
    _, number, control, old, by = stale[0]

    def job(thread: int, now: int, control: Control, marks: Any, by: Any) -> None:
        mark(1, number, control, old, by)  # what the late thread does, while the next pass is open
        mark(thread, now, control, marks, by)

    marks = np.zeros(10, np.int64)
    group.run(job, marks, by, num_threads=1)
    mark(1, number, control, old, by)  # and while none is
    assert (marks == 1).all()
    assert not old.any()
    assert control[INSIDE] == 0


def test_a_thread_that_was_woken_for_a_larger_pass_keeps_out_of_a_smaller_one(
    group: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass for two threads has memory for two: a third that wakes late would write behind it."""
    seen: list[int] = []

    def job(thread: int, number: int, control: Control) -> None:
        seen.append(thread)
        if thread == 0:
            for late in (1, 2, 3):
                group._help(late)

    monkeypatch.setattr(group, "_wake", lambda num_helpers: None)
    group.run(job, num_threads=2)
    assert seen == [0, 1]


def test_what_a_pass_was_given_is_let_go_behind_it(group: Crew) -> None:
    """A model that is put away must not be held by a thread that waits for the next pass."""
    entered, freed = threading.Event(), threading.Event()

    def job(thread: int, number: int, control: Control, weights: Any) -> None:
        if thread == 1:
            entered.set()
        assert entered.wait(WAIT)

    weights = np.zeros(10)
    weakref.finalize(weights, freed.set)
    group.run(job, weights, num_threads=2)
    del weights
    assert freed.wait(WAIT)


def test_a_pass_that_fails_is_closed_and_the_next_one_is_well(group: Crew) -> None:
    def fail(thread: int, number: int, control: Control) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        group.run(fail, num_threads=1)
    assert group._job is None
    assert group._control[OPEN] == 0
    assert (marked(group, 9, 2) == 1).all()


def test_after_its_dismissal_threads_are_hired_anew(group: Crew) -> None:
    assert (marked(group, 9, 3) == 1).all()
    threads = list(group._threads)
    group.dismiss()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    assert (marked(group, 9, 3) == 1).all()


@pytest.mark.parametrize(("torch_threads", "cores", "wanted"), [(8, 2, 2), (1, 4, 1), (3, 4, 3)])
def test_a_pass_has_no_more_threads_than_torch_or_cores(
    group: Crew, monkeypatch: pytest.MonkeyPatch, torch_threads: int, cores: int, wanted: int
) -> None:
    monkeypatch.setattr(crew.torch, "get_num_threads", lambda: torch_threads)
    monkeypatch.setattr(crew, "usable_cores", lambda: cores)
    assert group.size == wanted


def test_a_forked_process_has_a_crew_of_its_own() -> None:
    """There, no thread but the caller's is left, and a lock that another held is never given back."""
    assert (marked(CREW, 99, 3) == 1).all()
    with CREW._lock, warnings.catch_warnings(record=True):  # later versions of Python warn of what is tried here
        child = os.fork()
        if child == 0:
            os._exit(0 if all((marked(CREW, 99, 3) == 1).all() for _ in range(9)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (marked(CREW, 99, 3) == 1).all()


def test_a_pass_alone_waits_for_no_other() -> None:
    """Not even for one that never ends, which holds the crew; and it has no helpers."""
    marks, by = np.zeros(9, np.int64), np.zeros(4, np.int64)
    with CREW._lock, CREW.alone():
        assert CREW.size == 1
        CREW.run(mark, marks, by, num_threads=3)
    assert marks.tolist() == [1] * 9
    assert by.tolist() == [9, 0, 0, 0]
    others: list[bool] = []
    with CREW.alone():
        thread = threading.Thread(target=lambda: others.append(CREW._is_alone))
        thread.start()
        thread.join()
    assert others == [False], "it is said of a thread, not of the process"
    assert not CREW._is_alone
