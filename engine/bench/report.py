"""Cells to figures: paired ratios with 95 % intervals, as JSON and Markdown."""

from __future__ import annotations

import random
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.bench.runner import Cell
from engine.config import GenerationConfig
from engine.models import LoadedModel
from engine.runtime import machine

_NUM_RESAMPLES = 2000


@dataclass(frozen=True)
class Row:
    """A method on a suite."""

    suite: str
    method: str
    num_runs: int
    tokens_per_second: float
    """Median over runs of emitted tokens ÷ wall-clock, prefill included."""
    speedup: float
    """Median over prompts of plain's time per token ÷ this method's, same prompt and repeat."""
    speedup_low: float
    speedup_high: float
    """95 % bootstrap interval of that median over prompts."""
    block_efficiency: float | None
    """All emitted tokens ÷ all target passes of the suite."""
    draft_share: float | None
    target_share: float | None
    host_share: float | None
    same_text: str
    """Runs whose tokens are plain decoding's, of all runs."""


@dataclass(frozen=True)
class Report:
    """All rows with what they have to be read with."""

    created_at: str
    model: str
    dtype: str
    device: str
    machine: dict[str, Any]
    commit: str
    config: dict[str, Any]
    rows: list[Row]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def summarise(cells: Sequence[Cell], loaded: LoadedModel, config: GenerationConfig) -> Report:
    """The report of a finished bench."""
    groups: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.suite, cell.method].append(cell)
    plain = {(c.suite, c.prompt_index, c.repeat): c for c in cells if c.method == "plain"}
    rows = [_row(suite, method, group, plain) for (suite, method), group in groups.items()]
    return Report(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        model=loaded.name,
        dtype=str(loaded.dtype).removeprefix("torch."),
        device=str(loaded.device),
        machine=machine(loaded.device),
        commit=_commit(),
        config=config.to_dict(),
        rows=sorted(rows, key=lambda row: (row.suite, -row.speedup)),
    )


def _row(suite: str, method: str, cells: list[Cell], plain: dict[tuple[str, int, int], Cell]) -> Row:
    by_prompt: dict[int, list[float]] = defaultdict(list)
    for cell in cells:
        base = plain[cell.suite, cell.prompt_index, cell.repeat]
        if cell.num_emitted and base.num_emitted:
            by_prompt[cell.prompt_index].append(_per_token(base) / _per_token(cell))
    ratios = [statistics.median(repeats) for repeats in by_prompt.values()]
    low, high = _interval(ratios)
    passes = [c.target_passes for c in cells if c.target_passes is not None]
    total_ms = sum((c.draft_ms or 0) + (c.target_ms or 0) + (c.host_ms or 0) for c in cells)
    return Row(
        suite=suite,
        method=method,
        num_runs=len(cells),
        tokens_per_second=statistics.median(1 / _per_token(c) for c in cells if c.num_emitted),
        speedup=statistics.median(ratios),
        speedup_low=low,
        speedup_high=high,
        block_efficiency=sum(c.num_emitted for c in cells) / sum(passes) if passes else None,
        draft_share=_share([c.draft_ms for c in cells], total_ms),
        target_share=_share([c.target_ms for c in cells], total_ms),
        host_share=_share([c.host_ms for c in cells], total_ms),
        same_text=f"{sum(c.is_same_text for c in cells)}/{len(cells)}",
    )


def _per_token(cell: Cell) -> float:
    return cell.seconds / cell.num_emitted


def _share(values: Sequence[float | None], total: float) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / total if known and total else None


def _interval(ratios: Sequence[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(_NUM_RESAMPLES))
    return medians[int(0.025 * _NUM_RESAMPLES)], medians[int(0.975 * _NUM_RESAMPLES)]


def _commit() -> str:
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def to_markdown(report: Report) -> str:
    """A table with its definitions above it."""
    where = f"{report.machine['processor']} ({report.machine['num_threads']} threads, {report.machine['instructions']})"
    lines = [
        f"Measured {report.created_at[:10]} on {where}, {report.device}, {report.dtype}, model `{report.model}`, "
        f"torch {report.machine['torch']}, transformers {report.machine['transformers']}, temperature "
        f"{report.config['temperature']:g}, at most {report.config['max_new_tokens']} tokens, commit {report.commit}. "
        "Speedup: plain's wall-clock per token ÷ the method's, prefill included, same prompt, same process, order "
        "drawn anew for each prompt; median over prompts with its 95 % interval.",
        "",
        "| suite | method | tokens/s | speedup over plain | block efficiency | draft / target / host | same text |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *(_line(row) for row in report.rows)]) + "\n"


def _line(row: Row) -> str:
    shares = [row.draft_share, row.target_share, row.host_share]
    split = "–" if None in shares else " / ".join(f"{share:.0%}" for share in shares if share is not None)
    efficiency = "–" if row.block_efficiency is None else f"{row.block_efficiency:.2f}"
    speedup = f"{row.speedup:.2f}× [{row.speedup_low:.2f}, {row.speedup_high:.2f}]"
    return (
        f"| {row.suite} | `{row.method}` | {row.tokens_per_second:.0f} | {speedup} | {efficiency} | {split} "
        f"| {row.same_text} |"
    )
