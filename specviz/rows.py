"""Stored runs as the rows of the sessions list. Counts come from the store, ratios from engine.metrics."""

from __future__ import annotations

from typing import Any

from engine.metrics import Metrics, Tally
from specviz.store import RunRow
from specviz.text import first_line, without_surrogates
from specviz.tiles import number

PROMPT_CHARS = 90


def to_row(run: RunRow) -> dict[str, Any]:
    """Plain values for the page."""
    metrics = stored_metrics(run)
    return {
        "id": run.id,
        "when": run.created_at[:19].replace("T", " "),
        "status": run.status,
        "method": run.method,
        "model": without_surrogates(run.model),
        "prompt": first_line(run.prompt, PROMPT_CHARS),
        "speed": number(metrics.tokens_per_second, 1),
        "efficiency": number(metrics.block_efficiency, 2),
        "verdict": str((run.audit or {}).get("verdict", "–")),
    }


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
