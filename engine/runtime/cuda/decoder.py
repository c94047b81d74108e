"""A Llama-shaped model's passes over static buffers: one upload, one graph, results copied out.

Passes are rounded up to buckets of rows and of length (buckets.py) and captured bucket by bucket; plain decoding goes
through the same ones. A pass with extra rows, whose states a drafter makes halfway, is captured when as many come again
behind as many rows; one of more rows than the largest bucket is made by the same kernels one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.runtime.cuda.buckets import Shape, Told
from engine.runtime.cuda.cache import Room, StaticCache
from engine.runtime.cuda.captured import Rooms
from engine.runtime.cuda.layers import Attend, Write, masked, normed, rotation, through
from engine.runtime.cuda.weights import Weights, fuse
from engine.runtime.extra import Layout
from engine.runtime.passes import Found, Pass


class StaticDecoder:
    """A model's fused weights, and passes over (m,) rows."""

    is_row_invariant = False

    def __init__(self, model: PreTrainedModel) -> None:
        self.weights = fuse(model)
        self.num_layers = len(self.weights.layers)
        self.head = cast(nn.Module, model.get_output_embeddings())
        self.refusals: list[str] = []
        """Why passes are not captured any more; see graphs.py."""
        sizes = self.num_layers, self.weights.num_kv_heads, self.weights.head_dim
        like, refusals = self.weights.embedding.detach(), self.refusals
        self._rooms = Rooms(lambda: Room(*sizes, like, refusals))

    def new_cache(self) -> StaticCache:
        """A KV cache for a session; its room is the next one's when it is gone."""
        return self._rooms.lend(StaticCache)

    @torch.inference_mode()
    def forward(self, wanted: Pass, cache: StaticCache) -> Found:
        """One pass; keys and values go to the cache's columns from `wanted.column` on."""
        room, shape = cache.room, Shape.of(wanted)
        room.reserve(shape.length)
        memory, layout = room.tell(shape.bytes_of(wanted)), wanted.layout
        entering = None if layout is None else Entering(layout, shape.owners(memory, len(layout.owners)))
        states = room.enter(wanted.inputs, shape.num_rows) if isinstance(wanted.inputs, Tensor) else None

        def work() -> tuple[Tensor, ...]:
            return self._pass(shape, shape.told(memory), states, room.kv, entering)

        key = shape, None if layout is None else layout.form
        is_rare = layout is not None
        logits, end, *hidden = room.graphs.run(key, work, is_rare=is_rare) if shape.is_bucket else work()
        num_rows, num_scored = len(wanted.positions), wanted.scored.stop - wanted.scored.start
        return Found(
            logits=logits[:num_scored].clone(),
            hidden=tuple(layer[:num_rows].clone() for layer in hidden),
            states=None if wanted.is_scored else end[: wanted.num_real].clone(),
        )

    def _pass(
        self, shape: Shape, told: Told, states: Tensor | None, kv: Tensor, entering: Entering | None
    ) -> tuple[Tensor, ...]:
        """Logits, the states behind the last layer of the pass, and those before each asked-for layer."""
        weights, span = self.weights, shape.span
        x = nn.functional.embedding(told.ids, weights.embedding) if states is None else states
        x = x if entering is None else x[: entering.layout.num_real]
        turn, looking = rotation(weights, told.positions), Looking(told, shape, weights)
        taken: dict[int, Tensor] = {}
        for layer in range(span.first, span.end):
            if layer in shape.hidden_layers:
                taken[layer] = x
            if entering is not None and layer in entering.layout.groups:
                x = torch.cat((x, entering.layout.entering(layer, x, entering.owners)))
            if layer in span.skip:
                continue
            own, num = weights.layers[layer], len(x)
            write = looking.writing(kv[layer], num)
            x = through(x, own, weights, (turn[0][:num], turn[1][:num]), write, looking.attend(own.window, num))
        taken[span.end] = x
        logits = x.new_empty(0, len(self._head_weight()))
        if shape.num_scored or self.num_layers in shape.hidden_layers:
            taken[self.num_layers] = behind = normed(x, weights.norm, weights.epsilon)
            if shape.num_scored:
                logits = self.head(behind.index_select(0, told.scored))
        return logits, x, *(taken[layer] for layer in shape.hidden_layers)

    def _head_weight(self) -> Tensor:
        return cast(nn.Linear, self.head).weight


@dataclass(frozen=True)
class Entering:
    """Extra rows that enter on the way."""

    layout: Layout
    owners: Tensor
    """On the device."""


class Looking:
    """What all layers of one pass share: where keys are written, and who looks at whom."""

    def __init__(self, told: Told, shape: Shape, weights: Weights) -> None:
        self._columns = told.column + torch.arange(shape.num_rows, device=told.column.device)
        self._visible, self._back = told.visible(shape.length)
        self._length, self._weights = shape.length, weights
        self._made: dict[tuple[int | None, int], Attend] = {}

    def writing(self, kv: Tensor, num_rows: int) -> Write:
        """Keeps keys and values in a layer's part (2 · heads, c, d) of the cache."""

        def write(made: Tensor) -> tuple[Tensor, Tensor]:
            kv.index_copy_(1, self._columns[:num_rows], made.transpose(0, 1))
            keys, values = kv[:, : self._length].chunk(2)
            return keys, values

        return write

    def attend(self, window: int | None, num_rows: int) -> Attend:
        """Attention among the rows that are there, made once for all layers with this window."""
        if (window, num_rows) not in self._made:
            visible = self._visible if window is None else self._visible & (self._back < window)
            if num_rows < len(self._columns):  # of rows that enter later nothing is there yet
                visible = visible & (torch.arange(self._length, device=visible.device) <= self._columns[num_rows - 1])
            bias = torch.zeros(num_rows, self._length, dtype=self._weights.embedding.dtype, device=visible.device)
            bias.masked_fill_(visible[:num_rows].logical_not(), -torch.inf)
            self._made[window, num_rows] = masked(bias, self._weights)
        return self._made[window, num_rows]
