"""Files that a visitor takes away: chosen runs whole, or a table of all that was found."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine.errors import BadInput, UnknownName
from specviz.archive import lines, tables
from specviz.pages import offline
from specviz.showing import listing
from specviz.store import Reader, RunRow, UnknownRun

KINDS = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "html": "text/html",
}
MAX_TABLE_ROWS = 50_000
"""Of one table, which is made in memory."""
MAX_WHOLE_RUNS = 50
BYTE_ORDER_MARK = "\ufeff"
"""Before a CSV file: without it spreadsheets do not read UTF-8."""


def export(store: Reader, given: Mapping[str, Any]) -> dict[str, Any]:
    """`{name, type, content, is_base64}`. Raises BadInput, UnknownRun and StoreError."""
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise UnknownName("kind of file", str(kind)[:40], KINDS)
    name = f"specviz-{datetime.now(UTC):%Y-%m-%d-%H%M%S}.{kind}"
    content = table(store, given, kind) if kind in ("csv", "parquet") else whole(store, given, kind)
    is_bytes = isinstance(content, bytes)
    text = base64.b64encode(content).decode() if isinstance(content, bytes) else content
    return {"name": name, "type": KINDS[kind], "content": text, "is_base64": is_bytes}


def whole(store: Reader, given: Mapping[str, Any], kind: str) -> str:
    """Every event of the chosen runs. Lines hold the plain runs too that speedups are against."""
    ids = listing.run_ids(given.get("ids"), MAX_WHOLE_RUNS)
    if kind == "html":
        return offline.to_html(store, ids)
    chosen = [store.get_run(run_id) for run_id in ids]
    return lines.to_text(map(store.copy, dict.fromkeys([*store.baselines(chosen), *ids])))


def table(store: Reader, given: Mapping[str, Any], kind: str) -> str | bytes:
    """One row for each chosen run, or for all that was found. Raises BadInput where these are too many."""
    runs = _chosen(store, given)
    plain = store.baselines(runs)
    return BYTE_ORDER_MARK + tables.to_csv(runs, plain) if kind == "csv" else tables.to_parquet(runs, plain)


def _chosen(store: Reader, given: Mapping[str, Any]) -> list[RunRow]:
    if given.get("ids"):
        ids = listing.run_ids(given["ids"], MAX_TABLE_ROWS)
        found = store.get_runs(ids)
        missing = set(ids) - {run.id for run in found}
        if missing:
            raise UnknownRun(min(missing))
        return found
    wanted = listing.parse(given.get("listing") or {})
    order: dict[str, Any] = {"sort": wanted.sort, "is_descending": wanted.is_descending}
    found = store.list_runs(MAX_TABLE_ROWS + 1, **order, **wanted.conditions)
    if len(found) > MAX_TABLE_ROWS:
        raise BadInput(
            f"{store.count_runs(**wanted.conditions):,} runs were found; a table takes at most {MAX_TABLE_ROWS:,}. "
            "Export them in parts, such as day by day."
        )
    return found
