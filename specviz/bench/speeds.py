"""How fast each method is known to be on a model, so that a benchmark's time can be told before its start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.bench import estimate
from engine.errors import BadInput
from specviz.bench.request import Asked
from specviz.bench.shelf import EXAMPLE, Shelf
from specviz.store import Reader, StoreError

NUM_RUNS, NUM_REPORTS = 200, 5
"""Newest saved runs and benchmarks that are looked at."""


@dataclass(frozen=True)
class Speeds:
    """Known speeds, and whence."""

    seconds_per_token: Mapping[str, float]
    source: str
    """In words, to stand behind "from"."""


def speeds(model: str, shelf: Shelf, store: Reader) -> Speeds | None:
    """The best that is known: benchmarks of this model here, else its saved runs, else the example's."""
    own = _of_reports(model, shelf, _newest(shelf))
    saved = _of_runs(model, store)
    example = _of_reports(model, shelf, [EXAMPLE])
    sources = [(own, "earlier benchmarks"), (saved, "saved runs"), (example, "the example, measured elsewhere")]
    known = next(((found, source) for found, source in sources if "plain" in found), None)
    return Speeds({**example, **saved, **own, **known[0]}, known[1]) if known else None


def _newest(shelf: Shelf) -> list[str]:
    return [entry.id for entry in shelf.entries() if entry.id != EXAMPLE][:NUM_REPORTS]


def in_words(asked: Asked, known: Speeds | None) -> str:
    """What a visitor may expect of a benchmark, before it starts."""
    plan = asked.plan()
    num_timed = len(plan.rounds) * len(plan.contenders)
    size = f"{num_timed:,} timed runs: {len(plan.questions)} prompts × {len(plan.contenders)} methods"
    size += f" × {asked.num_repeats} repeats" if asked.num_repeats > 1 else ""
    if known is None:
        return f"{size}. No speed of this model is known yet; the first round will tell the time."
    seconds = estimate.seconds_before(plan, known.seconds_per_token)
    return f"{size}. About {duration(seconds)}, from {known.source}; less where answers end early."


def duration(seconds: float) -> str:
    """To a sensible precision: "40 s", "6 min", "1 h 20 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _of_reports(model: str, shelf: Shelf, ids: Sequence[str]) -> dict[str, float]:
    """Newest first: the first that knows a method counts."""
    found: dict[str, float] = {}
    for bench_id in ids:
        try:
            measured, cells = shelf.cells(bench_id)
        except BadInput:
            continue
        if measured == model:
            found = {**estimate.seconds_per_token(cells), **found}
    return found


def _of_runs(model: str, store: Reader) -> dict[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    tokens: dict[str, int] = defaultdict(int)
    try:
        runs = store.list_runs(NUM_RUNS, model=model, origin="measured")
    except StoreError:
        return {}
    for run in runs:
        if run.model == model and run.status == "finished" and run.decode_ns and run.emitted:
            seconds[run.method] += ((run.prefill_ns or 0) + run.decode_ns) / 1e9
            tokens[run.method] += run.emitted
    return {name: seconds[name] / tokens[name] for name in seconds}
