"""Stored runs as the rows of the sessions list. Counts come from the store, ratios from engine.metrics."""

from __future__ import annotations

from typing import Any

from engine.metrics import Metrics, Tally, ratio
from specviz.showing import origin
from specviz.showing.tiles import NONE, number, percent
from specviz.store import RunRow
from specviz.text import first_line, without_surrogates
from specviz.times import day_and_time

PROMPT_CHARS = 90
_SAME = ("model", "device", "dtype", "prompt", "machine")


def to_row(run: RunRow, baseline: RunRow | None = None, may_change: bool = True) -> dict[str, Any]:
    """Plain values for the page; `baseline` is the plain run beside it."""
    metrics = stored_metrics(run)
    return {
        "id": run.id,
        "when": day_and_time(run.created_at),
        "status": run.status,
        "origin": origin.in_words(run) if origin.is_claim(run) else "",
        "isPrivate": run.sharing == "private",
        "method": run.method,
        "model": without_surrogates(run.model),
        "prompt": first_line(run.prompt, PROMPT_CHARS),
        "speed": number(metrics.tokens_per_second, 1),
        "efficiency": number(metrics.block_efficiency, 2),
        "task": without_surrogates(run.task),
        "sampling": "–" if run.temperature is None else f"{run.temperature:g}",
        "tokens": f"{run.emitted:,}",
        "speedup": _speedup(run, baseline),
        "acceptance": percent(metrics.acceptance_rate),
        "tags": [without_surrogates(tag) for tag in run.tags],
        "note": without_surrogates(run.note),
        "mayChange": may_change,
        "verdict": verdict(run) or NONE,
    }


def verdict(run: RunRow) -> str:
    """Of the audit, called a claim where it is one; empty where there was none."""
    found = str((run.audit or {}).get("verdict", ""))
    return origin.claimed(found, run) if found else ""


def _speedup(run: RunRow, baseline: RunRow | None) -> str:
    value = stored_speedup(run, baseline)
    return NONE if value is None else origin.claimed(number(value, 2), run)


def stored_speedup(run: RunRow, baseline: RunRow | None) -> float | None:
    """Plain time per token ÷ this run's, where the two may be compared: see engine.metrics. Of claims, a claim."""
    if baseline is None or not origin.may_compare(run, baseline):
        return None
    if baseline.method != "plain" or not run.status == baseline.status == "finished":
        return None
    same_config = {**run.config, "rule": ""} == {**baseline.config, "rule": ""}
    if not same_config or any(getattr(run, name) != getattr(baseline, name) for name in _SAME):
        return None
    ours, base = stored_metrics(run).tokens_per_second, stored_metrics(baseline).tokens_per_second
    return ratio(ours or 0.0, base or 0.0)


def stored_metrics(run: RunRow) -> Metrics:
    """The ratios of a stored run."""
    return Tally(
        steps=run.steps,
        proposed=run.proposed,
        accepted=run.accepted,
        emitted=run.emitted,
        prefill_ns=run.prefill_ns or 0,
        draft_ns=run.draft_ns,
        target_ns=run.target_ns + run.commit_ns,
        host_ns=run.host_ns + run.verify_ns,
        decode_ns=run.decode_ns,
    ).metrics
