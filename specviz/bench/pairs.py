"""Two reports side by side: before and after, one machine and another. Pure; the words are for the page to show."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.bench.report import MIN_PROMPTS, interval
from engine.bench.runner import Cell

DEFINITION = (
    "Ratio: tokens/s in the second benchmark ÷ tokens/s in the first, of the same method on the same prompt, each the "
    "median of its repeats; the median over the prompts that both measured, with its 95 % bootstrap interval from "
    f"{MIN_PROMPTS} prompts on. Above 1 the second is faster."
)
UNPAIRED = "The two were not asked the same questions, so there are no pairs: the figures stand side by side only."
HEAD = ("Suite", "Method", "Tokens/s, first", "Tokens/s, second", "Ratio", "Prompts", "Tokens a pass, first", "second")
_MATTERS = {
    "model": ("model",),
    "weights": ("weights",),
    "dtype": ("dtype",),
    "device": ("device",),
    "processor": ("machine", "processor"),
    "threads": ("machine", "num_threads"),
    "torch": ("machine", "torch"),
    "max_new_tokens": ("config", "max_new_tokens"),
    "temperature": ("config", "temperature"),
}
"""What a ratio would mix up with what was changed, and where a report says it."""
_Groups = Mapping[tuple[str, str], Sequence[Cell]]


def beside(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """What both measured, by suite and method: `head`, `rows` of texts, and `notes` to read them with."""
    is_paired = _questions(first) == _questions(second) != ""
    one, two = _groups(first), _groups(second)
    rows = [_row(key, one[key], two[key], is_paired) for key in one if key in two]
    differ = [f"{name} ({old}, then {new})" for name, old, new in _differences(first, second) if old != new]
    notes = [f"The two differ in {', '.join(differ)}: a ratio shows all of it together."] if differ else []
    notes += [DEFINITION if is_paired else UNPAIRED]
    if not rows:
        notes = ["The two have no method of the same suite in common."]
    return {"head": HEAD, "rows": rows, "notes": notes, "isWarned": bool(differ) or not is_paired}


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name, path in _MATTERS.items():
        yield name, _at(first, path), _at(second, path)


def _at(report: Mapping[str, Any], path: Sequence[str]) -> Any:
    found: Any = report
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return "unknown" if found is None else found


def _questions(report: Mapping[str, Any]) -> str:
    found = _at(report, ("questions", "digest"))
    return "" if found == "unknown" else str(found)


def _groups(report: Mapping[str, Any]) -> _Groups:
    found: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in report["cells"]:
        found[cell["suite"], cell["method"]].append(Cell(**cell))
    return dict(sorted(found.items()))


def _row(key: tuple[str, str], one: Sequence[Cell], two: Sequence[Cell], is_paired: bool) -> list[str]:
    before, after = _speeds(one), _speeds(two)
    ratios = [after[prompt] / before[prompt] for prompt in before if prompt in after] if is_paired else []
    speeds = [f"{statistics.median(found.values()):.1f}" for found in (before, after)]
    return [*key, *speeds, _in_words(ratios), str(len(ratios)) if ratios else "–", _a_pass(one), _a_pass(two)]


def _speeds(cells: Sequence[Cell]) -> dict[int, float]:
    """Tokens/s by prompt, each the median of its repeats."""
    found: dict[int, list[float]] = defaultdict(list)
    for cell in cells:
        found[cell.prompt_index].append(cell.num_emitted / cell.seconds)
    return {prompt: statistics.median(repeats) for prompt, repeats in found.items()}


def _in_words(ratios: Sequence[float]) -> str:
    if not ratios:
        return "–"
    low, high = interval(ratios)
    return f"{statistics.median(ratios):.2f}×" + (f" [{low:.2f}, {high:.2f}]" if low is not None else "")


def _a_pass(cells: Sequence[Cell]) -> str:
    """Block efficiency; nothing where a run does not say how many passes it took."""
    passes = [cell.target_passes or 0 for cell in cells]
    return f"{sum(cell.num_emitted for cell in cells) / sum(passes):.2f}" if all(passes) else "–"
