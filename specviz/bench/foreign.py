"""Reports that a visitor brings: any that `python -m engine bench --json` wrote, of former versions too, checked whole.

The runs are what counts: figures are computed from them when the report is opened. What former versions did not write
is filled in; what is neither known nor well-formed is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from engine.bench.runner import Cell
from engine.config import GenerationConfig
from engine.errors import BadInput
from specviz.decoding.device import PLAIN
from specviz.text import without_surrogates

MAX_CHARS = 16_000_000
MAX_CELLS = 50_000
MAX_TEXT_CHARS = 200
MACHINE = ("processor", "instructions", "num_threads", "torch", "transformers")
_TEXTS = ("model", "dtype", "device", "commit", "weights", "created_at")


def read(text: object) -> dict[str, Any]:
    """A report as `Shelf` keeps it. Raises BadInput with a sentence that says what is wrong, and in which run."""
    if not isinstance(text, str) or len(text) > MAX_CHARS:
        raise BadInput(f"The file is no report, or has more than {MAX_CHARS:,} characters.")
    try:
        given = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        reason = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
        raise BadInput(f"The file is not JSON{reason}; wanted a report of `python -m engine bench --json`.") from error
    if not isinstance(given, dict) or not isinstance(given.get("cells"), list) or not given["cells"]:
        raise BadInput("The file holds no runs; wanted a report of `python -m engine bench --json`, with `cells`.")
    if len(given["cells"]) > MAX_CELLS:
        raise BadInput(f"The report has {len(given['cells']):,} runs; at most {MAX_CELLS:,} are read.")
    cells = [_cell(cell, f"Run {number} of the report") for number, cell in enumerate(given["cells"], 1)]
    _check_pairs(cells)
    return {
        **{name: _text(given.get(name)) for name in _TEXTS},
        "machine": {name: _text(_mapping(given.get("machine")).get(name)) for name in MACHINE},
        "config": _config(_mapping(given.get("config"))),
        "questions": {"digest": _text(_mapping(given.get("questions")).get("digest"), missing="")},
        "command": _text(given.get("command"), missing=""),
        "is_complete": given.get("is_complete", True) is True,
        "row_cost": _row_cost(_mapping(given.get("row_cost"))),
        "skipped": [row for row in _list(given.get("skipped")) if _is_skipped(_mapping(row))],
        "cells": [asdict(cell) for cell in cells],
    }


def _cell(given: object, where: str) -> Cell:
    known = {field.name for field in fields(Cell)}
    values = {"category": "", "num_turns": 1, **{k: v for k, v in _mapping(given).items() if k in known}}
    for name, (is_right, wanted) in _RIGHT.items():
        if not is_right(values.get(name)):
            raise BadInput(f"{where}: {name} is {str(values.get(name))[:40]!r}; wanted {wanted}.")
    for name in ("suite", "category", "method"):
        values[name] = without_surrogates(values[name])
    return Cell(**values)


def _check_pairs(cells: list[Cell]) -> None:
    """Every figure is a comparison with plain decoding of the same question."""
    plain = {(cell.suite, cell.prompt_index, cell.repeat) for cell in cells if cell.method == PLAIN}
    for number, cell in enumerate(cells, 1):
        if (cell.suite, cell.prompt_index, cell.repeat) not in plain:
            raise BadInput(f"Run {number} of the report has no run of plain decoding beside it; speedups need one.")


def _config(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are known, those left out as they come."""
    usual = GenerationConfig().to_dict()
    return {
        name: found if _is_alike(found := given.get(name, value), value) else value for name, value in usual.items()
    }


def _row_cost(given: Mapping[str, Any]) -> dict[str, Any]:
    passes = [dict(found) for found in map(_mapping, _list(given.get("passes"))) if _is_pass(found)]
    num_context = given.get("num_context")
    return {"num_context": num_context if _is_count(num_context) else 0, "passes": passes}


def _is_pass(given: Mapping[str, Any]) -> bool:
    return _is_count(given.get("num_rows")) and _is_time(given.get("ms")) and _is_time(given.get("ratio"))


def _is_skipped(given: Mapping[str, Any]) -> bool:
    return _is_count(given.get("num_questions")) and _is_name(given.get("suite")) and _is_name(given.get("category"))


def _is_alike(given: object, usual: object) -> bool:
    if isinstance(usual, str):
        return isinstance(given, str) and len(given) <= MAX_TEXT_CHARS
    return isinstance(given, bool) if isinstance(usual, bool) else _is_time(given) and isinstance(usual, int | float)


def _text(given: object, missing: str = "unknown") -> str:
    return without_surrogates(str(given))[:MAX_TEXT_CHARS] if isinstance(given, str | int | float) else missing


def _mapping(given: object) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}


def _list(given: object) -> list[Any]:
    return given[:1_000] if isinstance(given, list) else []


def _is_count(given: object, low: int = 0) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and low <= given < 2**53


def _is_time(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given) and given >= 0


def _is_histogram(given: object) -> bool:
    return given is None or (isinstance(given, list) and len(given) <= 10_000 and all(map(_is_count, given)))


def _is_name(given: object) -> bool:
    return isinstance(given, str) and len(given) <= MAX_TEXT_CHARS


def _maybe(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda given: given is None or is_right(given)


_NAME = (_is_name, f"a text of at most {MAX_TEXT_CHARS} characters")
_COUNT = (_is_count, "a whole number of 0 or more")
_SOME = (lambda given: _is_count(given, 1), "a whole number of 1 or more")
_MS = (_maybe(_is_time), "milliseconds, or null")
_RIGHT: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("suite", "category", "method"), _NAME),
    **dict.fromkeys(("prompt_index", "repeat"), _COUNT),
    **dict.fromkeys(("num_turns", "num_emitted"), _SOME),
    "seconds": (lambda given: _is_time(given) and given > 0, "a number above 0"),
    "target_passes": (_maybe(lambda given: _is_count(given, 1)), "a whole number of 1 or more, or null"),
    **dict.fromkeys(("draft_ms", "target_ms", "host_ms"), _MS),
    "is_same_text": (lambda given: isinstance(given, bool), "true or false"),
    "acceptance_histogram": (_is_histogram, "a list of whole numbers, or null"),
    "num_draft_tokens": (_maybe(_is_count), "a whole number of 0 or more, or null"),
}
"""What each value of a run must be."""
