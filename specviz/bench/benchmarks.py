"""Runs benchmarks in the background, one at a time; every finished run is kept at once.

A benchmark takes its place in the same line as everybody's sessions, anew for each round: runs are compared
within a round, so others may have their turn between two of them. It goes on when the page that started it is
closed, and stops at the end of the run that is being timed. Figures are computed between rounds, while nothing
is timed. A stopped, failed or killed benchmark goes on where its last whole round ended. The policy says which are
measured; in public only the browser that started one stops it or lets it go on.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

from engine import bench, drafters
from engine.bench import Cell, Plan, Skipped, estimate, journal
from engine.bench.runner import Record
from engine.errors import BadInput, EngineError
from engine.events import Event, SessionStarted
from engine.models.watch import LoadingStopped, Watch, watched
from engine.target import Target
from specviz.bench.progress import Phase, Progress
from specviz.bench.request import Asked
from specviz.bench.shelf import Shelf
from specviz.decoding.line import LineClosed, LineFull
from specviz.decoding.request import known_method, known_model
from specviz.decoding.session import PATIENCE_S, Sessions
from specviz.mishaps import broke
from specviz.store import Store, StoreError

KIND = "benchmark"
ROW_COST_S = 2.0
_RETRY_S = 1.0
_log = logging.getLogger(__name__)


@dataclass
class _Work:
    """A benchmark while it is measured. Used by its own thread only."""

    bench_id: str
    asked: Asked
    target: Target
    plan: Plan
    settings: dict[str, Any]
    costs: tuple[int, list[Any]]
    records: list[Record]
    caveats: list[str]
    group_id: str | None = None
    session_ids: dict[str, list[str]] = field(default_factory=dict)
    """Of the round that is being measured, by contender."""


class Benchmarks:
    """The one place where a benchmark is started, stopped and watched. Safe to share between threads."""

    def __init__(self, sessions: Sessions, store: Store, shelf: Shelf) -> None:
        self.shelf = shelf
        self._sessions, self._store = sessions, store
        self._changed = threading.Condition()
        self._progress = Progress()
        self._has_stopped = threading.Event()
        self._starter = ""
        self.visitors = sessions.visitors

    @property
    def progress(self) -> Progress:
        """The latest."""
        with self._changed:
            return self._progress

    def wait(self, known: Progress, patience_s: float) -> Progress:
        """The latest, as soon as it is another than `known`; waits up to `patience_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._progress.version != known.version, timeout=patience_s)
            return self._progress

    def start(self, asked: Asked, page: str = "") -> str:
        """Begin a benchmark; its id. Raises BadInput where one is going on, it is too large or cannot be kept.

        `page`: the one that asks.
        """
        bench_id, starter = uuid.uuid4().hex, self.visitors.of_page(page)
        self._check(asked)
        self._claim(bench_id, starter)
        try:
            self.shelf.add(bench_id, asked, datetime.now(UTC).isoformat(timespec="seconds"), starter)
        except BadInput as error:
            self._end("failed", str(error))
            raise
        self._launch(bench_id, asked)
        return bench_id

    def resume(self, bench_id: str, page: str = "") -> None:
        """Go on with one that was stopped. Raises BadInput."""
        asked, starter = self.shelf.asked(bench_id), self.shelf.starter(bench_id)
        self._check(asked)
        self._check_starter(page, starter)
        self._claim(bench_id, starter)
        self._launch(bench_id, asked)

    def stop(self, page: str = "") -> None:
        """Stop after the run that is being timed. Raises BadInput where it is not this page's to stop."""
        self._check_starter(page, self._starter)
        self._has_stopped.set()

    def _check(self, asked: Asked) -> None:
        """Whether this instance measures it, whoever asks and however."""
        self._sessions.policy.check_benchmark(asked.num_runs, asked.max_new_tokens)
        known_model(self._sessions.device, asked.model)
        for name in asked.methods:
            known_method(self._sessions.device, name)

    def _check_starter(self, page: str, starter: str) -> None:
        if not self.visitors.page_may_change(page, starter):
            raise BadInput("That benchmark is not yours: the browser that started it stops it and lets it go on.")

    def _claim(self, bench_id: str, starter: str = "") -> None:
        with self._changed:
            if self._progress.is_going_on:
                raise BadInput("A benchmark is going on; stop it or wait for its end.")
            self._has_stopped.clear()
            self._starter = starter
            version, num_reports = self._progress.version + 1, self._progress.num_reports
            self._progress = Progress(bench_id, "waiting", version=version, num_reports=num_reports)
            self._changed.notify_all()

    def _launch(self, bench_id: str, asked: Asked) -> None:
        threading.Thread(target=self._work, args=(bench_id, asked), name="benchmark", daemon=True).start()

    def _tell(self, **changes: Any) -> None:
        with self._changed:
            self._progress = replace(self._progress, **changes, version=self._progress.version + 1)
            self._changed.notify_all()

    def _end(self, phase: Phase, note: str = "") -> None:
        self._tell(phase=phase, note=note, seconds_left=None)

    # ---- from here on: the benchmark's own thread only

    def _work(self, bench_id: str, asked: Asked) -> None:
        try:
            self._perform(bench_id, asked)
        except _Stopped:
            self._end("stopped", "What was measured is kept; it can go on from here.")
        except EngineError as error:
            self._end("failed", self._sessions.policy.shown(str(error)))
        except Exception:  # noqa: BLE001 - a bug must not leave a benchmark that seems to go on
            self._end("failed", broke("The benchmark"))

    def _perform(self, bench_id: str, asked: Asked) -> None:
        with self._turn():
            work = self._prepare(bench_id, asked)
        stream = bench.run(work.target, work.plan, work.records, lambda *of: self._store_run(work, *of))
        kept = cast(
            Generator[Record], journal.keep(self.shelf.journal(bench_id), work.settings, list(work.records), stream)
        )
        with contextlib.closing(kept):
            is_measuring = bool(estimate.rounds_left(work.plan, work.records))
            while is_measuring:
                with self._turn():
                    is_measuring = self._round(work, kept)
                self._report(work)
        self._end("finished")

    def _prepare(self, bench_id: str, asked: Asked) -> _Work:
        self._tell(phase="preparing", note=f"Loading {asked.model} and measuring what rows cost.")
        target = self._load(asked.model)
        for name in asked.methods:
            if reason := drafters.get(name).unavailable(target):
                raise BadInput(f"{name} cannot run on {asked.model}: {reason}")
        plan = asked.plan()
        settings = bench.settings(target.loaded, plan)
        finished = journal.read(self.shelf.journal(bench_id), settings, plan)
        costs, caveats = bench.row_costs(target, ROW_COST_S), drafters.caveats(plan.methods, target)
        work = _Work(bench_id, asked, target, plan, settings, costs, finished, caveats)
        work.group_id = self._group(work)
        self._tell(note="Warming up every method.", **_figures(work))
        return work

    def _load(self, model: str) -> Target:
        """How far it is stands in the progress. Raises _Stopped, or EngineError."""
        device = self._sessions.device
        waits = Watch(lambda text: self._tell(note=text), self._has_stopped.is_set)
        try:
            with watched(waits):
                return device.load(known_model(device, model))  # one that was stopped may be of a former instance
        except LoadingStopped as error:
            raise _Stopped from error

    def _group(self, work: _Work) -> str | None:
        """The store's group for its runs, the same after a stop; None where the store takes none."""
        known = self.shelf.group(work.bench_id)
        try:
            if known:
                self._store.get_group(known)
                return known
        except StoreError:
            _log.info("the group of benchmark %s is not in this database; it gets a new one", work.bench_id)
        try:
            return self._store.add_group(KIND, work.asked.title, {"benchmark": work.bench_id})
        except StoreError as error:
            _log.warning("a benchmark's runs have no group: %s", error)
            return None

    def _round(self, work: _Work, stream: Iterator[Record]) -> bool:
        """Every contender on one question; whether there are more rounds."""
        work.session_ids = {}
        for num_measured, record in enumerate(stream, 1):
            work.records.append(record)
            self._tell(phase="running", note="", **_figures(work))
            if isinstance(record, Skipped) or num_measured == len(work.plan.contenders):
                break
            self._go_on()
        self._store_baselines(work)
        return bool(estimate.rounds_left(work.plan, work.records))

    def _report(self, work: _Work) -> None:
        """Write the figures of all whole rounds, once there is a run."""
        whole = bench.of_whole_rounds(work.records, work.plan)
        cells = [asdict(record) for record in whole if isinstance(record, Cell)]
        if not cells:
            return
        report = bench.summarise(whole, work.settings, work.plan, work.costs, caveats=work.caveats)
        self.shelf.keep(work.bench_id, {**report.to_dict(), "cells": cells, "group_id": work.group_id})
        self._tell(num_reports=self.progress.num_reports + 1)

    def _store_run(self, work: _Work, cell: Cell, sessions: tuple[Sequence[Event], ...]) -> None:
        """One timed run into the store, each turn a session."""
        ids = []
        for events in sessions:
            started = events[0]
            assert isinstance(started, SessionStarted)
            run = self._store.begin(started, group_id=work.group_id, task=cell.suite)
            for event in events[1:]:
                run.append(event)
            ids.append(started.session_id)
        work.session_ids[cell.method] = ids

    def _store_baselines(self, work: _Work) -> None:
        plain = work.session_ids.pop("plain", [])
        for ids in work.session_ids.values():
            for run_id, baseline_id in zip(ids, plain, strict=False):
                self._store.set_baseline(run_id, baseline_id)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """The device is ours inside. Raises _Stopped."""
        ticket = self._join()
        try:
            position = ticket.position()
            while position:
                self._tell(note=f"Waiting for others: {position} ahead.")
                self._go_on()
                position = ticket.position(PATIENCE_S, known=position)
            self._go_on()
            yield
        finally:
            ticket.leave()

    def _join(self) -> Any:
        while True:
            self._go_on()
            try:
                return self._sessions.ticket(KIND)
            except LineFull:
                time.sleep(_RETRY_S)
            except LineClosed as error:
                raise _Stopped from error

    def _go_on(self) -> None:
        if self._has_stopped.is_set():
            raise _Stopped


class _Stopped(Exception):
    """The benchmark was stopped."""


def _figures(work: _Work) -> dict[str, Any]:
    """Of the progress."""
    cells = [record for record in work.records if isinstance(record, Cell)]
    return {
        "num_done": len(work.records),
        "num_total": work.plan.num_records(work.records),
        "num_different": sum(not cell.is_same_text for cell in cells),
        "seconds_left": estimate.seconds_left(work.plan, work.records),
    }
