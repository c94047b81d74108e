"""Numbers of a benchmark's figures, from an opened report (`specviz.bench.Shelf.open`). Pure; draws nothing.

Definitions are those of `engine.bench.report`: nothing is divided here that it has not divided, but for the time
per emitted token, which is a sum over a sum.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]
PARTS = ("draft", "target", "host", "outside")
"""`outside` is what a run takes besides its steps: prefill, and the reader's own time."""


def heat(report: Json) -> dict[str, Any]:
    """Speedup by method and suite, the fastest method first; all suites together stand last, where there are several.

    `cells[method][suite]` is None where nothing was measured.
    """
    suites = _suites(report)
    columns = [*suites, *(["all"] if len(suites) > 1 else [])]
    found = {(row["method"], row["suite"]): row for row in [*_whole(report["rows"]), *_overall(report)]}
    methods = _methods(report)
    cells = [[_cell(found.get((method, suite))) for suite in columns] for method in methods]
    values = [cell["speedup"] for line in cells for cell in line if cell]
    return {"methods": methods, "suites": columns, "cells": cells, "reach": _reach(values)}


def scatter(report: Json) -> list[dict[str, Any]]:
    """A point per method and suite that says how many passes it took; `expected` is the theory's speedup."""
    names = ("block_efficiency", "speedup", "speedup_low", "speedup_high", "relative_pass_cost", "relative_draft_cost")
    return [
        {"method": row["method"], "suite": row["suite"], "expected": row["expected_speedup"]}
        | {name: row[name] for name in names}
        for row in _whole(report["rows"])
        if row["block_efficiency"] is not None and row["method"] != "plain"
    ]


def time_split(report: Json) -> list[dict[str, Any]]:
    """Milliseconds per emitted token by part, over all runs of a method; parts are None where it does not say."""
    cells: dict[str, list[Json]] = defaultdict(list)
    for cell in report["cells"]:
        cells[cell["method"]].append(cell)
    return [_split(method, cells[method]) for method in _methods(report)]


def slower(speedup: float) -> bool:
    """Whether a speedup, as it is printed, is below 1."""
    return round(speedup, 2) < 1


def _split(method: str, cells: Sequence[Json]) -> dict[str, Any]:
    emitted = sum(cell["num_emitted"] for cell in cells)
    total_ms = 1000 * sum(cell["seconds"] for cell in cells)
    inside = [[cell[f"{part}_ms"] for cell in cells] for part in PARTS[:3]]
    line: dict[str, Any] = {"method": method, "total": total_ms / emitted}
    if any(value is None for values in inside for value in values):
        return line | dict.fromkeys(PARTS)
    sums = [sum(values) for values in inside]
    return line | {part: ms / emitted for part, ms in zip(PARTS, [*sums, total_ms - sum(sums)], strict=True)}


def _cell(row: Json | None) -> dict[str, Any] | None:
    if row is None:
        return None
    names = ("speedup", "speedup_low", "speedup_high", "num_prompts", "num_runs", "same_text", "block_efficiency")
    return {name: row[name] for name in names} | {"is_slower": slower(row["speedup"])}


def _reach(values: Sequence[float]) -> float:
    """How far the colours reach to both sides of 1, as a factor: an eighth and eight times are alike."""
    return 2 ** max([0.5, *(abs(math.log2(value)) for value in values if value > 0)])


def _methods(report: Json) -> list[str]:
    rows = [row for row in report["overall"] if not row["category"]]
    return [row["method"] for row in sorted(rows, key=lambda row: -row["speedup"])]


def _suites(report: Json) -> list[str]:
    return list(dict.fromkeys(row["suite"] for row in _whole(report["rows"])))


def _whole(rows: Sequence[Json]) -> list[Json]:
    """Rows of suites, those of their categories left out."""
    return [row for row in rows if not row["category"]]


def _overall(report: Json) -> list[Json]:
    return [{**row, "suite": "all"} for row in _whole(report["overall"])]
