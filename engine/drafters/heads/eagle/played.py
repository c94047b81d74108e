"""EAGLE's layer on a GPU: a level of a draft, or what a step reads of the text, is one upload and one graph.

Same arithmetic as network.py; keys and values stand in a room (runtime/cuda/). Rows that fill up a pass stand in the
last column that is looked at, which nobody sees. Knows rows, columns and tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.drafters.heads._candidates import Candidates, Looks, Tokens, ranked, read
from engine.drafters.heads.eagle.network import MOST_ROWS, EagleCache, EagleNetwork, Turns
from engine.runtime.attention import attend_fused
from engine.runtime.cuda.buckets import length_bucket, looked_at
from engine.runtime.cuda.cache import Room
from engine.runtime.cuda.captured import Listed, filled_up, looks


class PlayedCache(EagleCache):
    """One session's use of a room."""

    def __init__(self, network: EagleNetwork, room: Room) -> None:
        self.network, self.room = network, room
        self.keys, self.values = room.kv[0].chunk(2)

    def advance(
        self, before: Tensor, rows: Tokens, tokens: Tokens, position: int, column: int, sees: Looks, top_k: int
    ) -> tuple[Tensor, Candidates]:
        layer, told = self._layer(tokens, np.full(len(tokens), position), column, sees)
        work = partial(_advance, layer, top_k)
        given, found = self.room.run((layer.length, top_k), work, (rows, *told), (before,))
        return given, self._read(found, len(tokens))

    def likeliest(self, states: Tensor, top_k: int) -> Candidates:
        work = partial(_likeliest, self.network, top_k)
        (found,) = self.network.player.run(top_k, work, given=(states,))
        return self._read(found, len(states))

    def read(self, hidden: Tensor, tokens: Sequence[int], column: int) -> Tensor:
        for first in range(0, len(tokens), MOST_ROWS):
            some = np.array(tokens[first : first + MOST_ROWS])
            start, num = column + first, len(some)
            layer, told = self._layer(some, np.arange(start, start + num), start, np.tri(num, dtype=np.bool_))
            told, given = (np.array([num - 1]), *told), hidden[first : first + num]
            (last,) = self.room.run(layer.length, partial(_reading, layer), told, (given,))
        return last

    def _layer(self, tokens: Tokens, positions: Tokens, column: int, sees: Looks) -> tuple[Layer, tuple[Listed, ...]]:
        """The layer with room for some rows, and what they are told."""
        end = column + len(tokens)
        length = length_bucket(end + 1)
        self.room.reserve(length)
        self.keys, self.values = self.room.kv[0].chunk(2)
        told = tokens, positions, filled_up(np.arange(column, end), length - 1), np.array([end - sees.shape[1]])
        return Layer(self.network, self.room.kv[0], self.network.angles(length), length), (*told, looks(sees))

    def _read(self, found: Tensor, num_rows: int) -> Candidates:
        places, log_probs = read(found, num_rows)
        return self.network.vocabulary[places], log_probs


class Layer(NamedTuple):
    """What captured work reads and writes, so it holds no session."""

    network: EagleNetwork
    kv: Tensor
    """(2 · kv heads, columns, e)."""
    turns: Turns
    length: int
    """Columns that are looked at."""

    def through(
        self, states: Tensor, tokens: Tensor, positions: Tensor, columns: Tensor, committed: Tensor, sees: Tensor
    ) -> Tensor:
        """The layer's output (m, d) of rows that stand in columns (m,)."""

        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            self.kv.index_copy_(1, columns, torch.cat((key, value), dim=1).transpose(0, 1))
            keys, values = self.kv[:, : self.length].chunk(2)
            visible, *_ = looked_at(committed, sees, self.length)
            return attend_fused(query, keys, values, visible)

        cos, sin = (part.index_select(0, positions) for part in self.turns)
        return self.network.through(states, tokens, (cos, sin), attend)


def _advance(layer: Layer, top_k: int, rows: Tensor, *told: Tensor) -> tuple[Tensor, Tensor]:
    *lists, before = told
    given = layer.through(layer.network.handed_on(before.index_select(0, rows)), *lists)
    return given, ranked(layer.network.scores(given), top_k)


def _reading(layer: Layer, last: Tensor, *told: Tensor) -> tuple[Tensor]:
    *lists, hidden = told
    return (layer.through(layer.network.fused(hidden), *lists).index_select(0, last),)


def _likeliest(network: EagleNetwork, top_k: int, states: Tensor) -> tuple[Tensor]:
    return (ranked(network.scores(states), top_k),)
