"""EAGLE's layer on a GPU: a level of a draft, or what a step reads of the text, is one upload and one graph.

Same arithmetic as network.py; keys and values stand in a room (runtime/cuda/). Rows that fill up a pass stand in the
last column that is looked at, which nobody sees. Knows rows, columns and tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from engine.drafters.heads._candidates import Candidates, Looks, Tokens, ranked, read
from engine.drafters.heads.eagle.network import MOST_ROWS, Attend, EagleCache, EagleNetwork, Turns
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
        length, told = self._told(tokens, np.full(len(tokens), position), column, sees)
        work = partial(self._advance, self.network.angles(length), length, top_k)
        given, found = self.room.run((length, top_k), work, (rows, *told), (before,))
        return given, self._read(found, len(tokens))

    def likeliest(self, states: Tensor, top_k: int) -> Candidates:
        (found,) = self.network.player.run(top_k, lambda x: (ranked(self.network.scores(x), top_k),), given=(states,))
        return self._read(found, len(states))

    def read(self, hidden: Tensor, tokens: Sequence[int], column: int) -> Tensor:
        for first in range(0, len(tokens), MOST_ROWS):
            some = np.array(tokens[first : first + MOST_ROWS])
            start, num = column + first, len(some)
            length, told = self._told(some, np.arange(start, start + num), start, np.tri(num, dtype=np.bool_))
            given = hidden[first : first + num]
            work = partial(self._reading, self.network.angles(length), length)
            (last,) = self.room.run(length, work, (np.array([num - 1]), *told), (given,))
        return last

    def _told(self, tokens: Tokens, positions: Tokens, column: int, sees: Looks) -> tuple[int, tuple[Listed, ...]]:
        """Columns that are looked at, for which there is room then; and what rows are told."""
        end = column + len(tokens)
        length = length_bucket(end + 1)
        self.room.reserve(length)
        self.keys, self.values = self.room.kv[0].chunk(2)
        columns = filled_up(np.arange(column, end), length - 1)
        return length, (tokens, positions, columns, np.array([end - sees.shape[1]]), looks(sees))

    def _advance(self, turns: Turns, length: int, top_k: int, rows: Tensor, *told: Tensor) -> tuple[Tensor, Tensor]:
        states = self.network.handed_on(told[-1].index_select(0, rows))
        given = self._through(turns, length, states, *told[:-1])
        return given, ranked(self.network.scores(given), top_k)

    def _reading(self, turns: Turns, length: int, last: Tensor, *told: Tensor) -> tuple[Tensor]:
        states = self.network.fused(told[-1])
        return (self._through(turns, length, states, *told[:-1]).index_select(0, last),)

    def _through(
        self,
        turns: Turns,
        length: int,
        states: Tensor,
        tokens: Tensor,
        positions: Tensor,
        columns: Tensor,
        committed: Tensor,
        sees: Tensor,
    ) -> Tensor:
        cos, sin = (part.index_select(0, positions) for part in turns)
        return self.network.through(states, tokens, (cos, sin), self._attend(length, columns, committed, sees))

    def _attend(self, length: int, columns: Tensor, committed: Tensor, sees: Tensor) -> Attend:
        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            self.room.kv[0].index_copy_(1, columns, torch.cat((key, value), dim=1).transpose(0, 1))
            keys, values = self.room.kv[0, :, :length].chunk(2)
            visible, *_ = looked_at(committed, sees, length)
            return attend_fused(query, keys, values, visible)

        return attend

    def _read(self, found: Tensor, num_rows: int) -> Candidates:
        places, log_probs = read(found, num_rows)
        return self.network.vocabulary[places], log_probs
