"""Measurements: suites × methods × repeats in one process, taking turns, beside transformers' own."""

from engine.bench.markdown import to_markdown
from engine.bench.report import Report, settings, summarise
from engine.bench.runner import Cell, Plan, Skipped, of_whole_rounds, run
from engine.drafters.costs import row_costs

__all__ = [
    "Cell",
    "Plan",
    "Report",
    "Skipped",
    "of_whole_rounds",
    "row_costs",
    "run",
    "settings",
    "summarise",
    "to_markdown",
]
