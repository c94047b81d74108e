"""DFlash's layers on a GPU: a block, or what a step reads of the text, is one upload and one graph.

Same arithmetic as network.py; keys and values stand in a room (runtime/cuda/). Columns of places that fill up a pass
go to the last one that is looked at, which nobody sees. Knows columns and tokens.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from engine.drafters.heads._layers import rotated
from engine.drafters.heads.dflash.network import DFlashCache, DFlashNetwork, Turns
from engine.runtime.attention import attend_fused
from engine.runtime.cuda.buckets import length_bucket
from engine.runtime.cuda.cache import Room
from engine.runtime.cuda.captured import filled_up


class PlayedCache(DFlashCache):
    """One session's use of a room."""

    def __init__(self, network: DFlashNetwork, room: Room) -> None:
        self.network, self.room = network, room
        self.keys, self.values = room.kv.chunk(2, dim=1)

    def read(self, hidden: Tensor, column: int) -> None:
        end = column + len(hidden)
        length = self._reserve(end)
        told = (filled_up(np.arange(column, end), length - 1),)
        self.room.run(
            length, partial(_reading, self.network, self.room.kv, self.network.angles(length)), told, (hidden,)
        )

    def block(self, root_id: int, column: int) -> Tensor:
        length = self._reserve(column + self.network.form.block_size)
        work = partial(_block, self.network, self.room.kv, self.network.angles(length), length)
        (found,) = self.room.run(("block", length), work, (np.array([root_id]), np.array([column])))
        return found

    def _reserve(self, end: int) -> int:
        """Columns that are looked at, for which there is room then: one more than are wanted."""
        length = length_bucket(end + 1)
        self.room.reserve(length)
        self.keys, self.values = self.room.kv.chunk(2, dim=1)
        return length


def _reading(network: DFlashNetwork, kv: Tensor, turns: Turns, columns: Tensor, hidden: Tensor) -> tuple[()]:
    """Keeps the columns of places in kv (layers, 2 · kv heads, c, e). What is captured holds no session."""
    keys, values = network.columns(network.features(hidden))
    cos, sin = (part.index_select(0, columns) for part in turns)
    made = torch.cat((rotated(keys, cos, sin), values), dim=2)
    kv.index_copy_(2, columns, made.transpose(1, 2))
    return ()


def _block(
    network: DFlashNetwork, kv: Tensor, turns: Turns, length: int, root_id: Tensor, column: Tensor
) -> tuple[Tensor]:
    num_rows = network.form.block_size
    places = column + torch.arange(num_rows, device=column.device)
    is_there = torch.arange(length, device=column.device) < column + num_rows
    cos, sin = (part.index_select(0, places) for part in turns)
    x = network.rows(root_id)
    for number, layer in enumerate(network.layers):
        sees = is_there & layer.sees(places, length) if layer.is_bounded else is_there.expand(num_rows, length)
        x = layer.forward(x, cos, sin, partial(_look, kv[number], places, sees))
    return (x,)


def _look(kv: Tensor, places: Tensor, sees: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What a layer's rows (m, heads, e) see, `sees (m, columns)`, once its room kv holds their own columns."""
    kv.index_copy_(1, places, torch.cat((key, value), dim=1).transpose(0, 1))
    keys, values = kv[:, : sees.shape[1]].chunk(2)
    return attend_fused(query, keys, values, sees)
