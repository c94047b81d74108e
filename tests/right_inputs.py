"""What each reader of foreign input takes: tests/fuzzing.py spoils it."""

from __future__ import annotations

from typing import Any

from engine.drafters.heads import _weights

LISTING = {
    "search": "fox",
    "method": "plain",
    "model": "m",
    "task": "t",
    "tag": "x",
    "status": "finished",
    "sampling": "greedy",
    "origin": "imported",
    "since": "2026-01-01",
    "until": "2026-02-01",
    "sort": "speed",
    "is_descending": True,
    "page": 0,
    "mine": True,
    "visitor": "a" * 32,
}
EXPORT = {"kind": "csv", "ids": ["a", "b"], "listing": LISTING}
CELL = {
    "suite": "s",
    "category": "",
    "prompt_index": 0,
    "repeat": 0,
    "method": "plain",
    "seconds": 1.0,
    "num_turns": 1,
    "num_emitted": 3,
    "target_passes": 3,
    "draft_ms": 1.0,
    "target_ms": 2.0,
    "host_ms": 0.5,
    "is_same_text": True,
    "acceptance_histogram": [1, 2],
    "num_draft_tokens": 3,
}
REPORT = {
    "model": "m",
    "dtype": "bf16",
    "device": "cpu",
    "commit": "c",
    "weights": "w",
    "created_at": "2026-01-01",
    "machine": {"processor": "p", "num_threads": 2},
    "config": {"temperature": 0.0},
    "is_complete": True,
    "row_cost": {"num_context": 100, "passes": [{"num_rows": 1, "ms": 1.0, "ratio": 1.0}]},
    "cells": [CELL, {**CELL, "method": "aded", "seconds": 0.5}],
}
SAMPLING = {
    "max_new_tokens": 8,
    "temperature": 0.5,
    "top_k": 4,
    "top_p": 0.9,
    "seed": 1,
    "rule": "auto",
    "timeout_s": 1,
}
AROUND = {"template": "chat", "thinking": "auto", "messages": [{"role": "system", "content": "s"}]}
FORM = {"method": "scripted", "options": {"scripted": {"depth": 3, "model": "auto"}}, "sampling": SAMPLING}
FORM |= {"conversation": AROUND, "stop": ["."], "loading": {"model": "toy", "draft": "auto", "dtype": "auto"}}
LANES = [{"method": "plain", "options": {}}, {"method": "scripted", "options": {"depth": 2}}]
RACE = {**FORM, "lanes": LANES}
SAID: dict[str, Any] = {"prompt": "p", "model": "toy", "system": "s", "messages": AROUND["messages"], "thinking": "on"}
MEANT: dict[str, Any] = {"max_new_tokens": 8, "temperature": 0.5, "stop": ["."], "timeout_s": 1.0, "sharing": "private"}
CALLS: dict[str, dict[str, Any]] = {
    "generate": {
        **SAID,
        **MEANT,
        "method": "scripted",
        "options": {"depth": 2},
        "measure_plain": True,
        "loading": None,
    },
    "compare": {**SAID, **MEANT, "methods": ["plain", "scripted"], "seed": 3, "rule": "auto", "template": "raw"},
    "read_prompt": SAID,
    "list_runs": {"search": "fox", "method": "plain", "status": "finished", "limit": 5, "before": "a"},
    "get_run": {"run_id": "a"},
    "export_runs": {"run_ids": ["a", "b"], "kind": "csv"},
}
ADDRESS = "?view=sessions&run=a&step=3&ids=a,b&group=g&method=plain&task=t"
SUITE = [
    {"prompt": "p"},
    {"turns": ["a", "b"], "category": "math"},
    {"question": "q"},
    {"text": "t", "test_list": ["x"]},
]
FILES: dict[str, Any] = {
    _weights.CONFIG_FILE: {"method": "medusa", "vocab_size": 100, "num_heads": 3, "target_fingerprint": "x"},
    _weights.INDEX_FILE: {"weight_map": {"a": "model.safetensors", "b": "other.safetensors"}},
    _weights.SHAPE_FILE: [[[0], 0.5], [[0, 1], 0.25]],
    _weights.SHARES_FILE: [0.5, 0.25],
    _weights.VOCABULARY_FILE: [1, 2, 3],
}
