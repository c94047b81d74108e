"""Runs as a table, one row each: CSV for spreadsheets, Parquet for data frames. Ratios come from engine.metrics."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.metrics import Acceptance
from specviz.showing import origin
from specviz.showing.rows import stored_metrics, stored_speedup, verdict
from specviz.store import RunRow
from specviz.text import harmless, without_surrogates

_PLAIN = (
    *("id", "created_at", "status", "reason", "method", "guarantee", "model", "task", "device", "dtype"),
    *("temperature", "seed", "max_new_tokens", "num_prompt_tokens", "steps", "proposed", "accepted", "emitted"),
    *("target_passes", "prefill_ns", "decode_ns", "draft_ns", "target_ns", "verify_ns", "commit_ns", "host_ns"),
    *("group_id", "baseline_run_id"),
)
_RATIOS = ("tokens_per_second", "block_efficiency", "acceptance_rate", "mean_accepted_length")
_ACCEPTANCE = ("mean_acceptance_length", "draft_acceptance_rate")
_BY_LENGTH = ("acceptance_histogram", "joint_acceptance_rates", "conditional_acceptance_rates")
_OBJECTS = ("method_options", "config", "machine")
_TEXTS = ("note", "message", "prompt", "text")
_ORIGIN = ("origin", "added_at", "speedup_is")
COLUMNS = (*_PLAIN, *_RATIOS, "speedup", "verdict", "tags", *_OBJECTS, *_TEXTS, *_ACCEPTANCE, *_BY_LENGTH, *_ORIGIN)
_FLOATS = {"temperature", *_RATIOS, "speedup", *_ACCEPTANCE}
_WHOLES = {name for name in _PLAIN if name.endswith("_ns") or name.startswith(("num_", "max_"))} | {
    *("seed", "steps", "proposed", "accepted", "emitted", "target_passes"),
}


def to_row(run: RunRow, baseline: RunRow | None) -> dict[str, Any]:
    """One run as plain values, in the order of COLUMNS."""
    metrics = stored_metrics(run)
    return {
        **{name: _clean(getattr(run, name)) for name in _PLAIN},
        **{name: getattr(metrics, name) for name in _RATIOS},
        "speedup": stored_speedup(run, baseline),
        "verdict": _clean(verdict(run)) or None,
        "tags": ", ".join(map(without_surrogates, run.tags)),
        **{name: json.dumps(getattr(run, name)) for name in _OBJECTS},
        **{name: _clean(getattr(run, name)) for name in _TEXTS},
        **_acceptance(run),
        "origin": run.origin,
        "added_at": run.added_at,
        "speedup_is": origin.CLAIMED if origin.is_claim(run) else "measured",
    }


def _acceptance(run: RunRow) -> dict[str, Any]:
    """As servers name it; lists as JSON. Nothing where the run was saved without."""
    if run.acceptance_histogram is None:
        return dict.fromkeys((*_ACCEPTANCE, *_BY_LENGTH))
    told = Acceptance(tuple(run.acceptance_histogram), run.proposed).to_dict()
    return {name: told[name] for name in _ACCEPTANCE} | {name: json.dumps(told[name]) for name in _BY_LENGTH}


def to_csv(runs: Sequence[RunRow], baselines: Mapping[str, RunRow]) -> str:
    """RFC 4180 with a head line. Texts that a spreadsheet would run as a formula get an apostrophe in front."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    for row in _rows(runs, baselines):
        writer.writerow({name: harmless(value) for name, value in row.items()})
    return file.getvalue()


def to_parquet(runs: Sequence[RunRow], baselines: Mapping[str, RunRow]) -> bytes:
    """The same columns, typed; texts as they are."""
    import pyarrow as pa  # heavy, and rarely asked for
    import pyarrow.parquet as pq

    kinds = {**dict.fromkeys(_FLOATS, pa.float64()), **dict.fromkeys(_WHOLES, pa.int64())}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(_rows(runs, baselines)), schema=schema), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _rows(runs: Sequence[RunRow], baselines: Mapping[str, RunRow]) -> Iterator[dict[str, Any]]:
    return (to_row(run, baselines.get(run.baseline_run_id or "")) for run in runs)


def _clean(value: Any) -> Any:
    return without_surrogates(value) if isinstance(value, str) else value
