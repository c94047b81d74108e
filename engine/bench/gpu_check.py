"""What a GPU makes of the engine, measured without any weights: one command for who has one.

The device's bandwidth by copying, plain decoding against what that allows, what 1 to 128 rows cost, the host's part of
a step and how often it waits, and the speedup of an oracle at set error rates; replayed from graphs and launched kernel
by kernel, since against a slow baseline speculation looks better than it is.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import torch

from engine import drafters
from engine.audit import output_ids
from engine.bench.acceptance import of_turns
from engine.bench.gpu_page import SYNTHETIC
from engine.bench.report import DEFINITIONS, commit, to_rows
from engine.bench.runner import Cell
from engine.bench.synthetic import MAX_CONTEXT, Oracle, OracleOptions, config_of, following, reciter
from engine.config import GenerationConfig
from engine.drafters import Drafter
from engine.drafters.costs import RowCost
from engine.events import Event
from engine.loop import generate
from engine.metrics import tally
from engine.models import LoadedModel, memory
from engine.runtime import machine, prepared
from engine.runtime.device import synchronise
from engine.target import Target
from engine.tree import DraftTree
from engine.warming import warm_up

ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
NUM_CONTEXT = 256
ORACLES = (OracleOptions(4, 0.2), OracleOptions(8, 0.2), OracleOptions(8, 0.05))
COPIED_BYTES = {"cuda": 1 << 30, "cpu": 1 << 24}
_NUM_COPIES = 8


@dataclass(frozen=True)
class Figures:
    """Of one size. Times in milliseconds, at NUM_CONTEXT tokens of context."""

    size: str
    weight_bytes: int
    bound_tokens_per_second: float
    """Bandwidth ÷ bytes that a token has to read: weights but for the embeddings, and the text's keys and values."""
    plain_tokens_per_second: float
    share_of_bound: float
    eager_share_of_bound: float
    step_ms: float
    """Of plain decoding, wall-clock."""
    host_ms: float
    """Of it, what a pass of one row does not explain when passes are launched one behind the other."""
    waits_per_step: float | None
    """Operations that made the host wait; None where the device does not tell."""
    row_costs: list[RowCost]
    eager_row_costs: list[RowCost]


def check(
    sizes: Sequence[str],
    device: torch.device,
    dtype: torch.dtype,
    num_tokens: int = 128,
    num_repeats: int = 3,
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The report, as `bench --json` writes one, with `gpu_check` beside. Raises UnknownName.

    A size that does not fit is left out, and `tell` is told so.
    """
    configs = {size: config_of(size) for size in sizes}
    bandwidth = copy_bandwidth(device)
    cells: list[Cell] = []
    figures: list[Figures] = []
    with prepared.static_everywhere():
        for size, config in configs.items():
            needed = memory.weight_bytes("", config, dtype) + memory.kv_bytes(config, dtype, MAX_CONTEXT)
            free = memory.free_bytes(device)
            if free is not None and needed > free:
                have = f"{memory.in_gigabytes(needed)}, and {memory.in_gigabytes(free)} are free"
                tell(f"The {size} model is left out: it needs {have}.")
                continue
            tell(f"Measuring the {size} model …")
            runs, found = _measured(reciter(size, device, dtype), size, bandwidth, num_tokens, num_repeats)
            cells += runs
            figures.append(found)
    return _report(device, dtype, num_tokens, num_repeats, bandwidth, figures, cells)


def _measured(
    loaded: LoadedModel, size: str, bandwidth: float, num_tokens: int, num_repeats: int
) -> tuple[list[Cell], Figures]:
    runs = list(_runs(loaded, size, num_tokens, num_repeats))
    return runs, _figures(loaded, size, bandwidth, runs)


def copy_bandwidth(device: torch.device) -> float:
    """Bytes a second that are read and written by the quickest of some copies within the device."""
    size = COPIED_BYTES.get(device.type, COPIED_BYTES["cpu"])
    source, into = (torch.ones(size, dtype=torch.uint8, device=device) for _ in range(2))
    times = [_seconds(device, lambda: into.copy_(source)) for _ in range(_NUM_COPIES)]
    return 2 * size / min(times)


def _runs(loaded: LoadedModel, size: str, num_tokens: int, num_repeats: int) -> Iterator[Cell]:
    """Plain decoding and oracles, graphed and eager, taking turns; a first round warms up."""
    targets = {"": Target(loaded), " (eager)": Target(loaded, is_eager=True)}
    contenders: dict[str, tuple[Target, Callable[[Target], Drafter]]] = {}
    for suffix, target in targets.items():
        contenders[f"plain{suffix}"] = target, partial(drafters.create, "plain", {})
        for options in ORACLES:
            contenders[f"{_name(options)}{suffix}"] = target, partial(Oracle, options)
    config = GenerationConfig(max_new_tokens=num_tokens, has_detail=False)
    for repeat in range(-1, num_repeats):
        prompt = [(17 * repeat + place) % loaded.vocab_size for place in range(NUM_CONTEXT // 2)]
        for name, (target, make) in contenders.items():
            started = time.perf_counter()
            events = list(generate(target, make(target), prompt, config))
            seconds = time.perf_counter() - started
            if repeat >= 0:
                yield _cell(name, f"synthetic {size}", repeat, events, seconds, prompt[-1], loaded.vocab_size)


def _name(options: OracleOptions) -> str:
    return f"oracle {1 - options.error_rate:.0%}, depth {options.depth}"


def _cell(
    name: str, suite: str, repeat: int, events: Sequence[Event], seconds: float, root: int, vocab_size: int
) -> Cell:
    found, total = output_ids(events), tally(events)
    wanted, token = [], root
    for _ in found:
        token = following(token, vocab_size)
        wanted.append(token)
    times = {kind: getattr(total.metrics, kind) for kind in ("draft_ms", "target_ms", "host_ms")}
    return Cell(
        suite=suite,
        category="",
        prompt_index=repeat,
        repeat=0,
        method=name,
        num_turns=1,
        num_emitted=len(found),
        seconds=seconds,
        target_passes=total.steps,
        is_same_text=found == wanted,
        **times,
        **of_turns((events,)),
    )


def _figures(loaded: LoadedModel, size: str, bandwidth: float, runs: Sequence[Cell]) -> Figures:
    graphed, eager = Target(loaded), Target(loaded, is_eager=True)
    weights = sum(weight.nbytes for weight in loaded.model.parameters())
    embedding: Any = loaded.model.get_input_embeddings()
    read = weights - embedding.weight.nbytes
    read += memory.kv_bytes(loaded.model.config, loaded.dtype, NUM_CONTEXT)
    bound = bandwidth / read
    speeds = {
        name: statistics.median(cell.num_emitted / cell.seconds for cell in runs if cell.method == name)
        for name in ("plain", "plain (eager)")
    }
    step_ms, waits = _step(graphed)
    costs = row_costs(graphed)
    return Figures(
        size=size,
        weight_bytes=weights,
        bound_tokens_per_second=bound,
        plain_tokens_per_second=speeds["plain"],
        share_of_bound=speeds["plain"] / bound,
        eager_share_of_bound=speeds["plain (eager)"] / bound,
        step_ms=step_ms,
        host_ms=max(0.0, step_ms - costs[0].ms),
        waits_per_step=waits,
        row_costs=costs,
        eager_row_costs=row_costs(eager),
    )


def row_costs(target: Target, num_rounds: int = 9) -> list[RowCost]:
    """Passes of each number of rows, several launched one behind the other and waited for once."""
    warm_up(target)
    target.prefill([0] * NUM_CONTEXT)
    times: dict[int, list[float]] = {rows: [] for rows in ROWS}

    def passes(rows: int) -> None:
        for _ in range(4):
            target.score(0, DraftTree((0,) * (rows - 1), (-1,) * (rows - 1)))
            target.discard()

    for turn in range(num_rounds + 1):
        for rows in ROWS:
            taken = _seconds(target.facts.device, partial(passes, rows)) / 4
            if turn:  # the first chooses kernels and captures
                times[rows].append(taken)
    target.prefill([])
    medians = {rows: 1000 * statistics.median(found) for rows, found in times.items()}
    return [RowCost(rows, ms, ms / medians[1]) for rows, ms in medians.items()]


def _step(target: Target, num_steps: int = 32) -> tuple[float, float | None]:
    """Milliseconds of a step of plain decoding, and how often the host waits in it."""
    config = GenerationConfig(max_new_tokens=num_steps + 1)
    drafter = drafters.create("plain", {}, target)
    device = target.facts.device
    events = generate(target, drafter, [0] * NUM_CONTEXT, config)
    for _ in range(3):  # start, prefill, a first step
        next(events)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = _report_waits(device, "warn")
        started = time.perf_counter()
        for _ in range(num_steps - 1):
            next(events)
        seconds = time.perf_counter() - started
        _report_waits(device, before)
    waits = sum("synchronizing CUDA operation" in str(warning.message) for warning in caught)
    return 1000 * seconds / (num_steps - 1), waits / (num_steps - 1) if device.type == "cuda" else None


def _report_waits(device: torch.device, mode: int | str) -> int:
    """Let torch warn of what makes the host wait, or as before; what was set."""
    if device.type != "cuda":
        return 0
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode(mode)
    return before


def _seconds(device: torch.device, work: Callable[[], object]) -> float:
    synchronise(device)
    started = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - started


def _report(
    device: torch.device,
    dtype: torch.dtype,
    num_tokens: int,
    num_repeats: int,
    bandwidth: float,
    figures: Sequence[Figures],
    cells: Sequence[Cell],
) -> dict[str, Any]:
    costs = figures[-1].row_costs if figures else []
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": f"synthetic {', '.join(found.size for found in figures)}",
        "weights": "made up",
        "dtype": str(dtype).removeprefix("torch."),
        "device": str(device),
        "machine": machine(device),
        "commit": commit(),
        "config": GenerationConfig(max_new_tokens=num_tokens, has_detail=False).to_dict(),
        "contenders": {cell.method: {} for cell in cells},
        "questions": {"number": num_repeats, "digest": "synthetic"},
        "num_repeats": num_repeats,
        "seed": 0,
        "command": "python -m engine bench --gpu-check",
        "is_complete": True,
        "definitions": DEFINITIONS,
        "row_cost": {"num_context": NUM_CONTEXT, "passes": [asdict(cost) for cost in costs]},
        "skipped": [],
        "caveats": [SYNTHETIC],
        "rows": [asdict(row) for row in to_rows(cells)],
        "cells": [asdict(cell) for cell in cells],
        "gpu_check": {"bytes_per_second": bandwidth, "sizes": [asdict(found) for found in figures]},
    }
