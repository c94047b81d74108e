"""Runs side by side as plain values for the page: settings that differ, warnings, figures, paired differences."""

from __future__ import annotations

from typing import Any

from engine.errors import BadInput
from engine.events import SessionStarted
from specviz.figures import overlay
from specviz.showing import comparison, listing, origin
from specviz.showing.comparison import FEWEST, MOST
from specviz.store import Reader, RunRow
from specviz.text import without_surrogates
from specviz.times import moment


def side_by_side(store: Reader, given: object) -> dict[str, Any]:
    """Raises BadInput for too few or too many runs, UnknownRun where one is not there."""
    ids = listing.run_ids(given, MOST)
    if len(ids) < FEWEST:
        raise BadInput(f"A comparison takes {FEWEST} to {MOST} runs; this is one.")
    rows = [store.get_run(run_id) for run_id in ids]
    runs = [store.events(run_id) for run_id in ids]
    starts = [events[0] for events in runs]
    first = [start for start in starts if isinstance(start, SessionStarted)]
    labels = [f"{place} · {without_surrogates(run.method)}{_mark(run)}" for place, run in enumerate(rows, 1)]
    differing, num_same = comparison.differences(first)
    return {
        "runs": [
            {"id": run.id, "label": label, "when": f"{moment(run.created_at)}, {origin.in_words(run)}"}
            for run, label in zip(rows, labels, strict=True)
        ],
        "warnings": comparison.warnings(
            first, [run.status for run in rows], has_claims=any(map(origin.is_claim, rows))
        ),
        "settings": differing,
        "same": num_same,
        "measures": comparison.measures(runs),
        "terms": comparison.TERMS,
        "paired": [
            {"label": label, "text": comparison.paired_text(comparison.paired(runs[0], events))}
            for label, events in zip(labels[1:], runs[1:], strict=True)
        ],
        "figures": overlay.figures(runs, labels, [run.method for run in rows]),
    }


def _mark(run: RunRow) -> str:
    return " (imported)" if origin.is_claim(run) else ""
