"""Tri-gram tables: two tokens → what may follow them, with weights.

A table built from a corpus is read-only and shared; what a session adds lies over it and dies with
the session. Compiled, since a search looks up hundreds of keys a step. Knows token ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from engine.errors import BadInput
from engine.runtime.compiled import njit

MAX_SUCCESSORS = 12
"""Of one pair in a corpus table (paper: pruning)."""
OVERLAY_SUCCESSORS = 32
"""Of one pair in a session: the corpus's twelve and what the text adds; then the lightest goes."""
_SMALLEST_OVERLAY = 4096
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TrigramTable:
    """Sorted pairs with their successors, heaviest first."""

    keys: Array
    """(k,) int64: first token · 2³² + second."""
    offsets: Array
    """(k + 1,) int64 into tokens and weights."""
    tokens: Array
    """(n,) int32."""
    weights: Array
    """(n,) float32: counts ÷ the pair's count, before pruning."""

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """As the compiled functions take them."""
        return self.keys, self.offsets, self.tokens, self.weights

    def save(self, path: Path, fingerprint: str) -> None:
        """To safetensors, with the vocabulary that its ids mean; weights as float16."""
        tensors = {"keys": self.keys, "counts": np.diff(self.offsets).astype(np.uint8)}
        is_small = len(self.tokens) == 0 or int(self.tokens.max()) < 2**16
        tensors |= {
            "tokens": self.tokens.astype(np.uint16) if is_small else self.tokens,
            "weights": self.weights.astype(np.float16),
        }
        save_file(tensors, path, metadata={"vocabulary": fingerprint})


EMPTY_TABLE = TrigramTable(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))


def load_table(path: Path, fingerprint: str) -> TrigramTable:
    """A saved table. Raises BadInput where there is none or its ids mean other tokens."""
    try:
        with safe_open(path, framework="numpy") as file:
            if (file.metadata() or {}).get("vocabulary") != fingerprint:
                raise BadInput(f"The table {path.name} was built with another tokenizer than the target's.")
            counts, keys = file.get_tensor("counts"), file.get_tensor("keys")
            tokens = file.get_tensor("tokens").astype(np.int32)
            weights = file.get_tensor("weights").astype(np.float32)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"The table {path} cannot be read: {error}.") from error
    offsets = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
    return TrigramTable(keys, offsets, tokens, weights)


def build_table(entries: list[list[int]], min_count: int = 1) -> TrigramTable:
    """Count tri-grams inside each entry, normalise per pair, keep each pair's heaviest MAX_SUCCESSORS.

    Tri-grams seen fewer than `min_count` times are dropped, which keeps an embedded table small.
    """
    pieces = [np.asarray(entry, np.int64) for entry in entries if len(entry) >= 3]
    if not pieces:
        return EMPTY_TABLE
    pairs = np.concatenate([(p[:-2] << 32) | p[1:-1] for p in pieces])
    third = np.concatenate([p[2:] for p in pieces])
    order = np.lexsort((third, pairs))
    pairs, third = pairs[order], third[order]
    first = np.flatnonzero(np.r_[True, (pairs[1:] != pairs[:-1]) | (third[1:] != third[:-1])])
    counts = np.diff(np.r_[first, len(pairs)])
    pairs, third = pairs[first], third[first]
    _, place, total = np.unique(pairs, return_inverse=True, return_counts=True)
    weights = counts / np.bincount(place, weights=counts)[place]
    heaviest = np.lexsort((third, -weights, pairs))
    rank = np.arange(len(pairs)) - (np.cumsum(total) - total)[place[heaviest]]
    kept = heaviest[(rank < MAX_SUCCESSORS) & (counts[heaviest] >= min_count)]
    keys, num = np.unique(pairs[kept], return_counts=True)
    offsets = np.concatenate(([0], np.cumsum(num, dtype=np.int64)))
    return TrigramTable(keys, offsets, third[kept].astype(np.int32), weights[kept].astype(np.float32))


class Overlay:
    """What one session adds to a table: an open-addressed hash of pairs, copied from it when first touched."""

    def __init__(self, table: TrigramTable) -> None:
        self.table = table
        self._num_pairs = 0
        self._make(_SMALLEST_OVERLAY)

    def _make(self, capacity: int) -> None:
        self.keys = np.full(capacity, -1, np.int64)
        self.counts = np.zeros(capacity, np.int64)
        self.tokens = np.zeros((capacity, OVERLAY_SUCCESSORS), np.int32)
        self.weights = np.zeros((capacity, OVERLAY_SUCCESSORS), np.float32)

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Table and overlay as the compiled functions take them."""
        return *self.table.arrays, self.keys, self.counts, self.tokens, self.weights

    def adapt(self, ids: Array, increment: float, cap: float) -> None:
        """Add `increment` to the weight of every tri-gram in `ids`, up to `cap`."""
        if 2 * (self._num_pairs + len(ids)) > len(self.keys):
            self._grow()
        self._num_pairs += _adapt(ids, increment, cap, self.arrays)

    def successors(self, first: int, second: int) -> list[tuple[int, float]]:
        """What may follow, in stored order: for tests and inspection."""
        buffer_tokens, buffer_weights = np.zeros(OVERLAY_SUCCESSORS, np.int32), np.zeros(OVERLAY_SUCCESSORS, np.float32)
        num = find(first, second, buffer_tokens, buffer_weights, self.arrays)
        return [(int(t), float(w)) for t, w in zip(buffer_tokens[:num], buffer_weights[:num], strict=True)]

    def _grow(self) -> None:
        old = self.keys, self.counts, self.tokens, self.weights
        self._make(2 * len(self.keys))
        for key, *row in zip(*old, strict=True):
            if key >= 0:
                slot = _slot(int(key), self.keys)
                self.keys[slot] = key
                self.counts[slot], self.tokens[slot], self.weights[slot] = row


@njit(cache=True)
def _slot(key: int, keys: Array) -> int:
    """Where the key is, or would go."""
    mask = len(keys) - 1
    place = (key * 0x9E3779B1 ^ (key >> 29)) & mask
    while keys[place] != -1 and keys[place] != key:
        place = (place + 1) & mask
    return place


@njit(cache=True)
def _base_row(key: int, keys: Array) -> int:
    row = int(np.searchsorted(keys, key))
    return row if row < len(keys) and keys[row] == key else -1


@njit(cache=True)
def find(first: int, second: int, found_tokens: Array, found_weights: Array, table: Any) -> int:
    """Number of successors of a pair, which are written to the two buffers; `table`: `Overlay.arrays`."""
    keys, offsets, tokens, weights, over_keys, over_counts, over_tokens, over_weights = table
    key = (first << 32) | second
    slot = _slot(key, over_keys)
    if over_keys[slot] == key:
        num = int(over_counts[slot])
        for i in range(num):
            found_tokens[i], found_weights[i] = over_tokens[slot, i], over_weights[slot, i]
        return num
    row = _base_row(key, keys)
    if row < 0:
        return 0
    start, num = offsets[row], int(offsets[row + 1] - offsets[row])
    for i in range(num):
        found_tokens[i], found_weights[i] = tokens[start + i], weights[start + i]
    return num


@njit(cache=True)
def _adapt(ids: Array, increment: float, cap: float, table: Any) -> int:
    """Number of pairs that were new to the overlay."""
    keys, offsets, tokens, weights, over_keys, over_counts, over_tokens, over_weights = table
    num_new = 0
    for place in range(len(ids) - 2):
        key = (ids[place] << 32) | ids[place + 1]
        slot = _slot(key, over_keys)
        if over_keys[slot] == -1:
            num_new += 1
            over_keys[slot] = key
            row = _base_row(key, keys)
            if row >= 0:
                start, over_counts[slot] = offsets[row], offsets[row + 1] - offsets[row]
                for i in range(over_counts[slot]):
                    over_tokens[slot, i], over_weights[slot, i] = tokens[start + i], weights[start + i]
        _bump(ids[place + 2], increment, cap, slot, over_counts, over_tokens[slot], over_weights[slot])
    return num_new


@njit(cache=True)
def _bump(
    token: int, increment: float, cap: float, slot: int, counts: Array, row_tokens: Array, row_weights: Array
) -> None:
    num = counts[slot]
    for i in range(num):
        if row_tokens[i] == token:
            row_weights[i] = min(cap, float(row_weights[i]) + increment)
            return
    if num == len(row_tokens):
        place = int(np.argmin(row_weights))
    else:
        place = num
        counts[slot] += 1
    row_tokens[place], row_weights[place] = token, min(cap, increment)
