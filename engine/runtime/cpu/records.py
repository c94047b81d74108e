"""What a compiled pass is made of: its shape, a model's weights, its rows and its memory, as loops take them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engine.runtime.cpu.products import Matrix
from engine.runtime.cpu.rows import Floats


class Shape(NamedTuple):
    """What a pass consists of."""

    first_layer: int
    end_layer: int
    num_rows: int
    first_column: int
    """Of the cache, that the first row's keys go to."""
    first_scored: int
    num_scored: int
    """Rows for the output layer; with none, and with the last layer not the end, the pass is a part of one."""
    is_last: bool
    hidden: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    head_width: int
    """A head's dimensions filled up to whole vectors."""
    epsilon: np.float32
    scale: np.float32
    has_bias: bool
    has_head_norms: bool
    has_head_bias: bool
    uses_tiles: bool
    is_prompt: bool
    """Whether rows attend as a prompt's do (prompt_attention.py): all of one text, behind what is kept."""


class Weights(NamedTuple):
    """A model's numbers, layer by layer."""

    qkv: Matrix
    output: Matrix
    gate_up: Matrix
    """Gate and up in turn, 16 columns each."""
    down: Matrix
    head: Matrix
    norms: Floats
    """(layers + 1, 2, hidden): before attention, before the gated part; the last layer's first is the final one."""
    qkv_bias: Floats
    head_norms: Floats
    """(layers, 2, head_dim): of queries and of keys."""
    head_bias: Floats


class Rows(NamedTuple):
    """What a pass's rows are."""

    cos: Floats
    """(rows, half of a head's dimensions)."""
    sin: Floats
    reach: Any
    """(rows,): a row may look at all columns before this one."""
    offsets: Any
    """(rows + 1,): where each row's part of `seen` begins."""
    seen: Any
    """Columns that a row may look at behind those, ascending."""


class Work(NamedTuple):
    """Memory of a pass."""

    units: Any
    """(phases + 1,) units in a layer before each phase, then (2,) of final norm and output layer."""
    spans: Any
    """(phases,) blocks of a product's unit, then of the output layer's."""
    x: Floats
    normed: Floats
    normed_bits: Any
    qkv: Floats
    attended: Floats
    attended_bits: Any
    active: Floats
    active_bits: Any
    results: Floats
    """(threads, rows, 2 · COLUMNS): a unit's products before they are used."""
    scores: Floats
    """(threads, QUERIES, columns)."""
    outputs: Floats
    """(threads, 2 · QUERIES, a head's width and a sum): results, then the queries themselves."""
    lanes: Floats
    """(threads, 16)."""
    packed_keys: Any
    """(key heads, blocks of 32 columns, numbers of a block): of a prompt."""
    packed_values: Any
    """(key heads, 32 of a head's dimensions each, numbers of all columns)."""
    prompt_queries: Floats
    """(threads, 32, a head's width); and the same as bits."""
    prompt_query_bits: Any
    prompt_rows: Floats
    """(threads, 32, columns): scores, then weights; and the same as bits."""
    prompt_bits: Any
    prompt_outputs: Floats
    """(threads, 32, a head's width and a sum)."""
    logits: Floats
    """Of scored rows; of a prompt's rows their gates, 16 in turn with what they let through."""
    spent: Any
    """(threads, phases + 2): cycles that each thread spent in each phase, the final norm and the output layer last."""
