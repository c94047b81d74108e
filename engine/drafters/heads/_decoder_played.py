"""The decoder layer of _decoder_layer.py on a GPU: a pass of a few rows is one upload and one graph.

Same arithmetic; keys and values stand in a room (runtime/cuda/), whose columns grow by buckets. Rows that fill up a
pass stand in the last column that is looked at, which nobody sees. Knows rows, positions and columns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from engine.drafters.heads._decoder_layer import Angles, LayerCache, TorchLayer
from engine.runtime.attention import attend_fused
from engine.runtime.cuda.buckets import length_bucket, looked_at
from engine.runtime.cuda.cache import Room
from engine.runtime.cuda.captured import filled_up, looks


class PlayedCache(LayerCache):
    """One session's use of a room."""

    def __init__(self, layer: TorchLayer, angles: Callable[[int], Angles], room: Room) -> None:
        """`angles`: of so many positions; the same tensors for the same number."""
        self.layer, self.room, self._angles = layer, room, angles
        self.keys, self.values = room.kv[0].chunk(2)

    def encode(
        self, rows: Tensor, num_asked: int, positions: Tensor, columns: Tensor, end: int, mask: Tensor
    ) -> Tensor:
        length, num_rows = length_bucket(end + 1), len(rows)
        self.room.reserve(length)
        self.keys, self.values = self.room.kv[0].chunk(2)
        told = (
            filled_up(columns.numpy(), length - 1),
            positions.numpy(),
            np.arange(num_rows - num_asked, num_rows),
            np.array([end - mask.shape[1]]),
            looks(mask.numpy()),
        )
        work = partial(_encode, self.layer, self.room.kv[0], self._angles(length), length)
        (found,) = self.room.run(length, work, told, (rows.to(self.layer.dtype),))
        return found[:num_asked]


def _encode(
    layer: TorchLayer,
    kv: Tensor,
    turns: Angles,
    length: int,
    columns: Tensor,
    positions: Tensor,
    asked: Tensor,
    committed: Tensor,
    seen: Tensor,
    x: Tensor,
) -> tuple[Tensor]:
    """What is captured, so it holds no session: kv (2 · heads, c, e); the layer's output of the rows that are asked."""
    query, key, value = layer.projected(x, *(part.index_select(0, positions) for part in turns))
    kv.index_copy_(1, columns, torch.cat((key, value), dim=1).transpose(0, 1))
    keys, values = kv[:, :length].chunk(2)
    visible, *_ = looked_at(committed, seen, length)
    attended = attend_fused(query.index_select(0, asked), keys, values, visible, 1.0)
    return (layer.finish(x.index_select(0, asked), attended.reshape(len(asked), -1).to(x.dtype)),)
