"""Benchmarks for tests: a tiny model that is measured, made-up runs and reports, saved runs of known speeds."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from scripted import PATIENCE_S, ScriptedDevice, ScriptedRecorder

from engine import models
from engine.bench import Cell
from engine.options import OptionSpec
from engine.target import Target
from specviz.bench import Asked, Benchmarks, Progress, Shelf
from specviz.decoding.device import Method
from specviz.decoding.session import Sessions
from specviz.pages.bench import BenchView
from specviz.store import RunRow, Store

DEPTH = OptionSpec("depth", 15, "How far.", low=1, high=64, unit="tokens")
LOOKUP = Method("prompt_lookup", "Prompt lookup", "Copies.", "nobody", "exact", (DEPTH,))
OWN = Asked("toy", (), 6, ("Tim found a red ball.", "The cat sat.", "Who?"), ("prompt_lookup",), 2, 5, 0.0)
"""Prompts of one's own, on the tiny model."""
GIVEN: tuple[Any, ...] = ("toy", ["story"], 2, "", ["prompt_lookup"], "", 1, 8, 0)
"""As the page's controls give it."""
CELL = Cell("s", "", 0, 0, "plain", 1, 10, 2.0, 10, 100.0, 800.0, 100.0, True)
ASKED = Asked("toy", ("story",), 2, (), ("scripted",), 1, 8, 0.0)
IDS = [letter * 32 for letter in "abcdef"]


@dataclass
class TinyDevice(ScriptedDevice):
    """Measures a tiny model."""

    folder: Path = Path()
    loads: list[str] = field(default_factory=list)

    def methods(self) -> tuple[Method, ...]:
        return (*super().methods()[:1], LOOKUP)

    def load(self, model: str) -> Any:
        self.loads.append(model)
        return Target(models.load(str(self.folder), "cpu", "fp32"))


@dataclass
class Place:
    """A shelf with all that works on it."""

    sessions: Sessions
    store: Store
    shelf: Shelf

    def benchmarks(self) -> Benchmarks:
        return Benchmarks(self.sessions, self.store, self.shelf)

    def view(self, benchmarks: Benchmarks | None = None) -> BenchView:
        return BenchView(benchmarks or self.benchmarks(), self.sessions.device, self.store)


def until_it_ends(benchmarks: Benchmarks) -> Progress:
    """Its last word."""
    progress = benchmarks.progress
    while progress.is_going_on:
        progress = benchmarks.wait(progress, PATIENCE_S)
    return progress


def at_run(num: int, store: Store, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Act while this run is timed, in the benchmark's own thread, however quick it is."""
    counted, begin = itertools.count(1), store.begin

    def acting(*given: Any, **named: Any) -> Any:
        if next(counted) == num:
            act()
        return begin(*given, **named)

    monkeypatch.setattr(store, "begin", acting)


def cell(method: str, seconds: float, num_emitted: int = 10, **fields: Any) -> Cell:
    """One timed run."""
    return replace(CELL, method=method, seconds=seconds, num_emitted=num_emitted, **fields)


def report(model: str, *cells: Cell, is_complete: bool = True, **fields: Any) -> dict[str, Any]:
    """A report as it is kept."""
    return {"model": model, "cells": [asdict(one) for one in cells], "is_complete": is_complete} | fields


def benchmarks(tmp_path: Path, store: Any = None) -> Benchmarks:
    """On a device that measures nothing."""
    recorder = store or ScriptedRecorder()
    return Benchmarks(Sessions(ScriptedDevice(), recorder), recorder, Shelf(tmp_path / "bench", tmp_path / "reports"))


class Runs:
    """Saved runs of known speeds."""

    def __init__(self, *rows: RunRow) -> None:
        self.rows = rows

    def list_runs(self, limit: int = 50, **conditions: Any) -> list[RunRow]:
        wanted = conditions.items()
        return [row for row in self.rows if all(getattr(row, name) == value for name, value in wanted)][:limit]


def cell_row(method: str, suite: str, num_emitted: int, seconds: float, *parts: float | None) -> dict[str, Any]:
    """One timed run as a report keeps it."""
    names = dict(zip(("draft_ms", "target_ms", "host_ms"), parts or (None,) * 3, strict=True))
    return {"method": method, "suite": suite, "num_emitted": num_emitted, "seconds": seconds} | names


def line(method: str, suite: str, speedup: float, **fields: Any) -> dict[str, Any]:
    """One row of a report's figures."""
    known = {"category": "", "speedup_low": None, "speedup_high": None, "num_prompts": 2, "same_text": "2/2"}
    known |= {"tokens_per_second": 10.0, "block_efficiency": 2.0, "expected_speedup": 1.5}
    known |= {"relative_pass_cost": 1.2, "relative_draft_cost": 0.25}
    return known | {"method": method, "suite": suite, "speedup": speedup} | fields


REPORT: dict[str, Any] = {
    "rows": [
        *(line("a", "s", 2.0), line("b", "s", 4.0), line("a", "t", 3.0), line("b", "t", 0.5)),
        line("a", "s", 9.0, category="c"),
    ],
    "overall": [line("a", "all", 2.5), line("b", "all", 1.25)],
    "cells": [
        cell_row("a", "s", 10, 1.0, 100.0, 300.0, 100.0),
        cell_row("a", "s", 10, 1.0, 100.0, 300.0, 100.0),
        cell_row("b", "s", 100, 1.0, 200.0, 400.0, 200.0),
        cell_row("a", "t", 50, 5.0, 1_000.0, 1_000.0, 1_000.0),
        cell_row("b", "t", 40, 2.0),
    ],
}
