"""A benchmark's figures, from an opened report (`specviz.bench.Shelf.open`). Pure; draws nothing.

Definitions are those of `engine.bench.report`; nothing is divided here but the time per emitted token.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from specviz.figures.race import stacked_times

Json = Mapping[str, Any]
OVERALL = "all"
PARTS = ("draft", "target", "host")
OUTSIDE = "prefill and rest"
"""What a run takes besides its steps; of peers, which do not say, everything."""


def suites(report: Json) -> list[str]:
    """Those that were asked."""
    return list(dict.fromkeys(row["suite"] for row in _whole(report["rows"])))


def methods(report: Json) -> list[str]:
    """All contenders, the fastest first."""
    rows = sorted(_whole(report["overall"]), key=lambda row: -row["speedup"])
    return [row["method"] for row in rows]


def rows_of(report: Json, suite: str) -> list[Json]:
    """A row per method on a suite, the fastest first."""
    rows = report["overall"] if suite == OVERALL else report["rows"]
    wanted = [row for row in _whole(rows) if suite in (OVERALL, row["suite"])]
    return sorted(wanted, key=lambda row: -row["speedup"])


def heat(report: Json) -> dict[str, Any]:
    """Speedup by method and suite, coloured by its logarithm: half and twice as fast stand equally far from 1.

    All suites together stand last, where there are several.
    """
    names, asked = methods(report), suites(report)
    columns = [*asked, OVERALL] if len(asked) > 1 else asked
    found = {(row["method"], suite): row for suite in columns for row in rows_of(report, suite)}
    lines = [[found.get((name, suite)) for suite in columns] for name in names]
    return {
        "kind": "heat",
        "title": "Speedup over plain decoding",
        "terms": ["bench-speedup"],
        "caption": "Median over prompts of paired ratios, prefill included; in brackets the 95 % interval, empty "
        "below six prompts. ▼ and orange: slower than plain decoding.",
        "rows": names,
        "columns": columns,
        "values": [[math.log2(row["speedup"]) if row else None for row in line] for line in lines],
        "middle": 0,
        "texts": [[speedup_text(row, has_interval=True) if row else "" for row in line] for line in lines],
        "shortTexts": [[speedup_text(row) if row else "" for row in line] for line in lines],
        "labels": [[_spoken(row) if row else "not measured" for row in line] for line in lines],
    }


def scatter(report: Json, suite: str) -> dict[str, Any]:
    """Block efficiency against speedup on a suite, measured and expected."""
    rows = [row for row in rows_of(report, suite) if row["expected_speedup"] is not None]
    most = max([1.0, *(row["block_efficiency"] for row in rows)]) * 1.08
    places = _places([(row["block_efficiency"], row["speedup"], row["method"]) for row in rows])
    return {
        "kind": "points",
        "title": f"Block efficiency against speedup: {suite}",
        "terms": ["bench-block-efficiency", "bench-speedup", "bench-expected-speedup"],
        "caption": "Filled: measured, with its 95 % interval. Hollow: expected from what was accepted and from what "
        "passes and drafts cost, block efficiency ÷ (relative pass cost + relative draft cost). The line is where "
        "drafting cost nothing. What lies between hollow and filled is prefill, host time and chance.",
        "x": {"title": "Block efficiency", "unit": "tokens per target pass"},
        "y": {"title": "Speedup", "zero": True},
        "methods": methods(report),
        "showsLegend": False,
        "marks": [{"y": 1, "text": "as fast as plain decoding"}],
        "series": [_free(most), *map(_expected, rows), *map(_measured, rows, places)],
        "table": _scatter_table(rows),
    }


def time_split(report: Json, suite: str) -> dict[str, Any]:
    """Milliseconds per emitted token by part, over all runs of a method on a suite."""
    cells: dict[str, list[Json]] = defaultdict(list)
    for cell in report["cells"]:
        if suite in (OVERALL, cell["suite"]):
            cells[cell["method"]].append(cell)
    names = [row["method"] for row in rows_of(report, suite)]
    lines = [per_token_ms(cells[name]) for name in names]
    series = [
        {"name": part, "role": role, "x": names, "y": [line[part] for line in lines], "isHatched": part == OUTSIDE}
        for part, role in (*((part, part) for part in PARTS), (OUTSIDE, "unreached"))
    ]
    caption = "All runs of a method together. Peers do not say what they spend their time on."
    return stacked_times(f"Time per emitted token: {suite}", caption, series)


def per_token_ms(cells: Sequence[Json]) -> dict[str, float]:
    """Time in each part ÷ emitted tokens, over all these runs of one contender."""
    emitted = sum(cell["num_emitted"] for cell in cells)
    total_ms = 1000 * sum(cell["seconds"] for cell in cells)
    known = [[cell[f"{part}_ms"] or 0.0 for cell in cells] for part in PARTS]
    sums = [sum(values) for values in known]
    parts = zip((*PARTS, OUTSIDE), [*sums, total_ms - sum(sums)], strict=True)
    return {part: ms / emitted for part, ms in parts}


def speedup_text(row: Json, *, has_interval: bool = False) -> str:
    """`2.40 [1.94, 2.86]`, with ▼ where what is printed is below 1."""
    text = f"{row['speedup']:.2f}"
    text = f"▼ {text}" if float(text) < 1 else text
    if not has_interval or row["speedup_low"] is None:
        return text
    return f"{text} [{row['speedup_low']:.2f}, {row['speedup_high']:.2f}]"


def _spoken(row: Json) -> str:
    count = f"{row['num_prompts']} prompts" if row["num_prompts"] != 1 else "1 prompt"
    return f"{speedup_text(row, has_interval=True)} from {count}; same text as plain {row['same_text']}"


def _measured(row: Json, place: str) -> dict[str, Any]:
    series = _point(row, row["speedup"], "") | {"texts": [row["method"]], "place": place}
    if row["speedup_low"] is None:
        return series
    return series | {"low": [row["speedup_low"]], "high": [row["speedup_high"]]}


def _expected(row: Json) -> dict[str, Any]:
    return _point(row, row["expected_speedup"], " expected") | {"isOpen": True}


def _point(row: Json, speedup: float, what: str) -> dict[str, Any]:
    label = (
        f"speedup {speedup:.2f}, block efficiency {row['block_efficiency']:.2f}, "
        f"pass cost {row['relative_pass_cost']:.2f}, draft cost {row['relative_draft_cost']:.2f}"
    )
    name = row["method"] + what
    return {
        "name": name,
        "method": row["method"],
        "x": [row["block_efficiency"]],
        "y": [speedup],
        "labels": [label],
        "keys": [row["method"]],
    }


def _places(points: Sequence[tuple[float, float, str]]) -> list[str]:
    """Where each point's name stands, so that names keep clear of each other and of points where they can."""
    width, height = max([1e-9, *(x for x, _, _ in points)]), max([1e-9, *(y for _, y, _ in points)])
    taken = [_box(x / width, y / height, 0.02) for x, y, _ in points]
    chosen = []
    for x, y, name in points:
        half = 0.0045 * len(name)
        boxes = {
            place: _box(x / width + dx * (half + 0.025), y / height + dy * 0.06, half) for place, (dx, dy) in _AROUND
        }
        best = min(boxes, key=lambda place: sum(_is_over(boxes[place], other) for other in taken))
        taken.append(boxes[best])
        chosen.append(best)
    return chosen


_AROUND = (
    ("top center", (0, 1)),
    ("bottom center", (0, -1)),
    ("middle right", (1, 0)),
    ("middle left", (-1, 0)),
)


def _box(x: float, y: float, half: float) -> tuple[float, float, float, float]:
    return x - half, x + half, y - 0.025, y + 0.025


def _is_over(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


def _free(most: float) -> dict[str, Any]:
    return {"name": "drafting costs nothing", "kind": "lines", "role": "unreached", "x": [1, most], "y": [1, most]}


def _scatter_table(rows: Sequence[Json]) -> dict[str, Any]:
    names = ["block_efficiency", "relative_pass_cost", "relative_draft_cost", "expected_speedup"]
    head = ["Method", "Block efficiency", "Relative pass cost", "Relative draft cost", "Expected", "Measured"]
    lines = [
        [row["method"], *(f"{row[name]:.2f}" for name in names), speedup_text(row, has_interval=True)] for row in rows
    ]
    return {"head": head, "rows": lines}


def _whole(rows: Sequence[Json]) -> list[Json]:
    """Rows of suites, those of their categories left out."""
    return [row for row in rows if not row["category"]]
