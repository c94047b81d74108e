"""Records to figures: paired ratios with 95 % intervals, Spec-Bench's own ratios, and what to read them with."""

from __future__ import annotations

import hashlib
import statistics
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.bench.acceptance import of_runs
from engine.bench.runner import Cell, Plan, Record, Skipped, complete_rounds, of_whole_rounds
from engine.bench.theory import Theory, Work, theory
from engine.drafters.costs import RowCost
from engine.models import LoadedModel
from engine.runtime import machine

_NUM_RESAMPLES = 2000
MIN_PROMPTS = 6
"""Of fewer, the smallest and largest value do not enclose the median at 95 %."""

DEFINITIONS = {
    "tokens_per_second": "Median over runs of emitted tokens ÷ wall-clock, prefill included, all turns together.",
    "speedup": "Plain's wall-clock per token ÷ the method's, prefill included: same prompt, same process, taking "
    "turns in an order drawn anew for each prompt. Median over prompts (of each prompt's median over repeats); "
    f"speedup_low to speedup_high is its 95 % bootstrap interval over prompts, empty below {MIN_PROMPTS} prompts.",
    "block_efficiency": "All emitted tokens ÷ all target passes; prefill is not a pass. Spec-Bench's "
    "#mean accepted tokens. Empty for peers, which do not say.",
    "speedup_per_block_efficiency": "Speedup ÷ block efficiency: the share of it that became speed.",
    "spec_bench_speedup": "Spec-Bench's speedup, over our plain: mean over runs of tokens per second ÷ the same mean "
    "of plain decoding. A ratio of means, not paired.",
    "spec_bench_speedup_over_generate": "The same over transformers' generate, which is Spec-Bench's baseline; empty "
    "where it was not timed.",
    "draft_share": "Time in the drafter ÷ time inside the steps, as target_share and host_share are.",
    "relative_pass_cost": "The method's time in the target per target pass ÷ plain's, on the same prompts. Above 1 "
    "where passes over more rows cost more.",
    "relative_draft_cost": "The method's time in the drafter per target pass ÷ plain's time in the target per pass.",
    "expected_speedup": "Block efficiency ÷ (relative pass cost + relative draft cost): theorem 3.8 of Leviathan et "
    "al. (2023) with what was measured in place of its model of acceptance, for chains, trees and draft-free methods. "
    "Prefill and host time are left out.",
    "mean_acceptance_length": "Pooled: 1 + accepted draft tokens ÷ steps that drafted, over all runs together, with "
    "the next token, as vLLM counts over a server. All figures of acceptance are empty where nothing drafted.",
    "mean_acceptance_length_per_run": "Mean over runs of each run's own mean acceptance length; a run that never "
    "drafted is left out. NVIDIA's specdec_bench calls it Average_AL.",
    "draft_acceptance_rate": "Pooled: accepted draft tokens ÷ proposed draft tokens.",
    "acceptance_histogram": "Pooled: steps that drafted, by accepted length, 0 first.",
    "joint_acceptance_rates": "Pooled, by position: steps whose accepted length reached it ÷ steps that drafted.",
    "conditional_acceptance_rates": "Pooled, by position: steps whose accepted length reached it ÷ those that reached "
    "the position before.",
    "same_text": "Runs whose tokens are plain decoding's, of all runs.",
    "row_cost": "Median wall-clock of one target pass by its number of rows, at num_context tokens of context; ratio: "
    "over a pass of one row.",
    "skipped": "Questions that were not asked, by suite and category: with an answer of max_new_tokens one of their "
    "turns exceeds the context.",
}


@dataclass(frozen=True)
class Row:
    """A method on a suite, or on one category of it. Each figure is defined in DEFINITIONS."""

    suite: str
    category: str
    """Empty for the suite as a whole."""
    method: str
    num_prompts: int
    num_runs: int
    tokens_per_second: float
    speedup: float
    speedup_low: float | None
    speedup_high: float | None
    block_efficiency: float | None
    speedup_per_block_efficiency: float | None
    spec_bench_speedup: float
    spec_bench_speedup_over_generate: float | None
    draft_share: float | None
    target_share: float | None
    host_share: float | None
    relative_pass_cost: float | None
    relative_draft_cost: float | None
    expected_speedup: float | None
    mean_acceptance_length: float | None
    mean_acceptance_length_per_run: float | None
    draft_acceptance_rate: float | None
    acceptance_histogram: list[int] | None
    joint_acceptance_rates: list[float] | None
    conditional_acceptance_rates: list[float | None] | None
    same_text: str


@dataclass(frozen=True)
class Report:
    """All rows with what they have to be read with."""

    created_at: str
    settings: dict[str, Any]
    command: str
    is_complete: bool
    """Whether every round was run; an interrupted bench reports the rounds that were."""
    num_context: int
    row_costs: list[RowCost]
    skipped: list[dict[str, Any]]
    caveats: list[str]
    """What is to be said of the target and of its methods, as that heads were trained on other weights."""
    rows: list[Row]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the settings stand beside the figures."""
        return {
            "created_at": self.created_at,
            **self.settings,
            "command": self.command,
            "is_complete": self.is_complete,
            "definitions": DEFINITIONS,
            "row_cost": {"num_context": self.num_context, "passes": [asdict(cost) for cost in self.row_costs]},
            "skipped": self.skipped,
            "caveats": self.caveats,
            "rows": [asdict(row) for row in self.rows],
        }


def settings(loaded: LoadedModel, plan: Plan) -> dict[str, Any]:
    """All that the figures depend on: two benches with equal settings measure the same thing."""
    asked = "\n".join(str((question.suite, question.turns)) for question in plan.questions)
    return {
        "model": loaded.name,
        "weights": _fingerprint(loaded),
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "device": str(loaded.device),
        "machine": machine(loaded.device),
        "commit": commit(),
        "config": plan.config.to_dict(),
        "contenders": {"plain": {}, **plan.methods, **{peer.name: peer.options for peer in plan.peers}},
        "questions": {"number": len(plan.questions), "digest": _digest(asked.encode())},
        "num_repeats": plan.num_repeats,
        "seed": plan.seed,
    }


def summarise(
    records: Sequence[Record],
    settings: dict[str, Any],
    plan: Plan,
    row_costs: tuple[int, list[RowCost]],
    command: str = "",
    caveats: Sequence[str] = (),
) -> Report:
    """The report of what was measured; rounds that were broken off do not count."""
    records = of_whole_rounds(records, plan)
    cells = [record for record in records if isinstance(record, Cell)]
    skipped = Counter((record.suite, record.category) for record in records if isinstance(record, Skipped))
    return Report(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        settings=settings,
        command=command,
        is_complete=len(complete_rounds(records, plan)) == len(plan.rounds),
        num_context=row_costs[0],
        row_costs=row_costs[1],
        skipped=[{"suite": s, "category": c, "num_questions": n} for (s, c), n in sorted(skipped.items())],
        caveats=list(caveats),
        rows=to_rows(cells),
    )


def to_rows(cells: Iterable[Cell]) -> list[Row]:
    """A row per suite and method, and where a suite has several categories one per category too."""
    groups: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    categories: dict[str, dict[str, None]] = defaultdict(dict)
    for cell in sorted(cells, key=lambda cell: cell.prompt_index):
        groups[cell.suite, ""].append(cell)
        categories[cell.suite][cell.category] = None
    for suite, found in categories.items():
        if len(found) > 1:
            for cell in groups[suite, ""]:
                groups[suite, cell.category or "other"].append(cell)
    rows = [row for (suite, category), group in groups.items() for row in _group_rows(suite, category, group)]
    places = {place: i for i, place in enumerate(groups)}
    return sorted(rows, key=lambda row: (row.suite, places[row.suite, row.category], -row.speedup))


def _group_rows(suite: str, category: str, cells: Sequence[Cell]) -> list[Row]:
    by_method: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_method[cell.method].append(cell)
    return [_row(suite, category, method, by_method) for method in by_method]


def _row(suite: str, category: str, method: str, by_method: dict[str, list[Cell]]) -> Row:
    cells = by_method[method]
    ratios = _paired_ratios(cells, by_method["plain"])
    low, high = interval(ratios)
    efficiency = _block_efficiency(cells)
    speedup = statistics.median(ratios)
    generate = by_method.get("generate")
    expected = _theory(cells, by_method["plain"])
    total_ms = sum((c.draft_ms or 0) + (c.target_ms or 0) + (c.host_ms or 0) for c in cells)
    return Row(
        suite=suite,
        category=category,
        method=method,
        num_prompts=len(ratios),
        num_runs=len(cells),
        tokens_per_second=statistics.median(map(_speed, cells)),
        speedup=speedup,
        speedup_low=low,
        speedup_high=high,
        block_efficiency=efficiency,
        speedup_per_block_efficiency=None if efficiency is None else speedup / efficiency,
        spec_bench_speedup=_mean_speed(cells) / _mean_speed(by_method["plain"]),
        spec_bench_speedup_over_generate=_mean_speed(cells) / _mean_speed(generate) if generate else None,
        draft_share=_share([c.draft_ms for c in cells], total_ms),
        target_share=_share([c.target_ms for c in cells], total_ms),
        host_share=_share([c.host_ms for c in cells], total_ms),
        relative_pass_cost=expected.relative_pass_cost if expected else None,
        relative_draft_cost=expected.relative_draft_cost if expected else None,
        expected_speedup=expected.expected_speedup if expected else None,
        **of_runs([(c.acceptance_histogram, c.num_draft_tokens) for c in cells]),
        same_text=f"{sum(c.is_same_text for c in cells)}/{len(cells)}",
    )


def _paired_ratios(cells: Sequence[Cell], plain: Sequence[Cell]) -> list[float]:
    """Plain's time per token ÷ the contender's, a prompt each: the median of its repeats."""
    base = {(cell.prompt_index, cell.repeat): cell for cell in plain}
    by_prompt: dict[int, list[float]] = defaultdict(list)
    for cell in cells:
        by_prompt[cell.prompt_index].append(_speed(cell) / _speed(base[cell.prompt_index, cell.repeat]))
    return [statistics.median(repeats) for repeats in by_prompt.values()]


def _speed(cell: Cell) -> float:
    """Tokens per second."""
    return cell.num_emitted / cell.seconds


def _mean_speed(cells: Sequence[Cell]) -> float:
    return statistics.fmean(map(_speed, cells))


def _block_efficiency(cells: Sequence[Cell]) -> float | None:
    passes = [cell.target_passes for cell in cells if cell.target_passes is not None]
    return sum(cell.num_emitted for cell in cells) / sum(passes) if passes else None


def _share(values: Sequence[float | None], total: float) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / total if known and total else None


def _theory(cells: Sequence[Cell], plain: Sequence[Cell]) -> Theory | None:
    ours, base = _work(cells), _work(plain)
    return theory(ours, base) if ours and base else None


def _work(cells: Sequence[Cell]) -> Work | None:
    """None where a run does not say what it took."""
    found = [(c.num_emitted, c.target_passes, c.draft_ms, c.target_ms) for c in cells]
    if any(None in values for values in found):
        return None
    emitted, passes, draft_ms, target_ms = zip(*found, strict=True)
    return Work(sum(emitted), sum(passes), sum(draft_ms), sum(target_ms))


def interval(ratios: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % bootstrap interval of the median."""
    if len(ratios) < MIN_PROMPTS:
        return None, None
    drawn = np.random.default_rng(0).choice(np.array(ratios), size=(_NUM_RESAMPLES, len(ratios)))
    medians = np.sort(np.median(drawn, axis=1))
    return float(medians[int(0.025 * _NUM_RESAMPLES)]), float(medians[int(0.975 * _NUM_RESAMPLES)])


def _fingerprint(loaded: LoadedModel) -> str:
    """Tells one training's weights from another's, by the embeddings of the first tokens."""
    embedding: Any = loaded.model.get_input_embeddings()
    return _digest(embedding.weight[:256].detach().to("cpu", torch.float32).numpy().tobytes())


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=6).hexdigest()


def commit() -> str:
    """Version of this program; `-dirty` where files were changed since."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
