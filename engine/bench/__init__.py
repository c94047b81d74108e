"""Measurements: suites × methods × repeats in one process, taking turns, beside transformers' own."""

from engine.bench.report import Report, summarise, to_markdown
from engine.bench.runner import Cell, run

__all__ = ["Cell", "Report", "run", "summarise", "to_markdown"]
