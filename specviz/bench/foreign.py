"""Reports that a visitor brings: any that `python -m engine bench --json` wrote, of former versions too, checked whole.

The runs are what counts: figures are computed from them when the report is opened. What former versions did not write
is filled in; what is neither known nor well-formed is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, InstanceOf

from engine.bench.runner import Cell
from engine.config import GenerationConfig
from engine.errors import BadInput
from specviz.archive import records
from specviz.archive.records import MOST_INTEGER
from specviz.decoding.device import PLAIN
from specviz.text import without_surrogates

MAX_CHARS = 16_000_000
MAX_CELLS = 50_000
MAX_TEXT_CHARS = 200
MACHINE = ("processor", "instructions", "num_threads", "torch", "transformers")
_Name = Annotated[InstanceOf[str], Field(max_length=MAX_TEXT_CHARS)]
_Count = Annotated[int, Field(ge=0, le=MOST_INTEGER)]
_Some = Annotated[int, Field(ge=1, le=MOST_INTEGER)]
_Ms = Annotated[float, Field(ge=0, le=MOST_INTEGER)]
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


class _Run(BaseModel):
    """A run of the report, as `Cell`; what former versions did not write has a default."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    suite: _Name
    category: _Name = ""
    prompt_index: _Count
    repeat: _Count
    method: _Name
    num_turns: _Some = 1
    num_emitted: _Some
    seconds: Annotated[float, Field(gt=0, le=MOST_INTEGER)]
    target_passes: _Some | None = None
    draft_ms: _Ms | None = None
    target_ms: _Ms | None = None
    host_ms: _Ms | None = None
    is_same_text: bool
    acceptance_histogram: Annotated[list[_Count], Field(max_length=10_000)] | None = None
    num_draft_tokens: _Count | None = None


def _cell(given: object, where: str) -> Cell:
    try:
        run = records.checked(_Run, given)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error
    values = run.model_dump()
    return Cell(**values | {name: without_surrogates(values[name]) for name in ("suite", "category", "method")})


def _check_pairs(cells: list[Cell]) -> None:
    """Every figure is a comparison with plain decoding of the same question."""
    plain = {_asked(cell) for cell in cells if cell.method == PLAIN}
    for number, cell in enumerate(cells, 1):
        if _asked(cell) not in plain:
            raise BadInput(f"Run {number} of the report has no run of plain decoding beside it; speedups need one.")


def _asked(cell: Cell) -> tuple[object, ...]:
    return cell.suite, cell.category, cell.prompt_index, cell.repeat


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


def _is_count(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= MOST_INTEGER


def _is_time(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given <= MOST_INTEGER


def _is_name(given: object) -> bool:
    return isinstance(given, str) and len(given) <= MAX_TEXT_CHARS
