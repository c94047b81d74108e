"""What the Benchmark view draws of a report: figures, tables and the words around them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.bench import markdown
from engine.bench.report import DEFINITIONS
from specviz.bench.shelf import OVERALL
from specviz.figures import bench as figures

COLUMNS = {
    "tokens_per_second": "Tokens/s",
    "speedup": "Speedup",
    "block_efficiency": "Block efficiency",
    "expected_speedup": "Expected",
    "relative_pass_cost": "Pass cost",
    "relative_draft_cost": "Draft cost",
    "same_text": "Same text",
}
"""Figures of the table, with their heads."""


def of_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """Of one that `Shelf.open` gave."""
    choices = figures.suites(report)
    return {
        "about": markdown.head(report).replace("`", ""),
        "costs": markdown.row_cost_line(report["row_cost"]),
        "skipped": markdown.skipped_lines(report["skipped"]),
        "isComplete": report["is_complete"],
        "group": str(report.get("group_id") or ""),
        "overall": OVERALL,
        "suites": choices,
        "heat": figures.heat(report),
        "bySuite": {suite: _of_suite(report, suite) for suite in choices},
        "columns": [{"name": title, "help": DEFINITIONS[name]} for name, title in COLUMNS.items()],
    }


def _of_suite(report: Mapping[str, Any], suite: str) -> dict[str, Any]:
    return {
        "scatter": figures.scatter(report, suite),
        "time": figures.time_split(report, suite),
        "rows": [[row["method"], *(_shown(row, name) for name in COLUMNS)] for row in figures.rows_of(report, suite)],
    }


def _shown(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if name == "speedup":
        return figures.speedup_text(row, has_interval=True)
    if value is None or isinstance(value, str):
        return value or "–"
    return f"{value:.0f}" if name == "tokens_per_second" else f"{value:.2f}"
