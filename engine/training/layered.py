"""A frozen Llama-shaped target taken layer by layer, with pseudo rows that gradients flow through.

The training side of `runtime/extra.py`: the same rows, positions and mask, but differentiable and for many
places at once. Real rows run without gradients. Arithmetic is transformers' own modules; only attention and
the order of calls are written out here. Knows layers and states; what makes a pseudo state is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.errors import BadInput
from engine.runtime.families import COMPILED

MakeState = Callable[[int, Tensor], Tensor]
"""(step, states of owners (b, p, h)) → states (b, p, h) of the pseudo rows of that step."""


@dataclass(frozen=True)
class RealRows:
    """What pseudo rows need of b rows of t real ones, a layer an entry."""

    entering: list[Tensor]
    """States before each layer, then those behind the last: (b, t, h)."""
    keys: list[Tensor]
    """(b, heads, t, d), turned by their positions."""
    values: list[Tensor]


class Layered:
    """A target's layers in the order they are called."""

    def __init__(self, target: PreTrainedModel, output: Tensor | None = None) -> None:
        """`output (n, h)`: rows of the output layer that score what is to be foreseen; all where there are none."""
        config = target.config
        if getattr(config, "model_type", "") not in COMPILED:
            raise BadInput(
                f"Hidden states can be transferred in training for {', '.join(sorted(COMPILED))} targets; "
                f"this one is a {config.model_type} model."
            )
        model: Any = target.base_model
        self.layers: list[Any] = list(model.layers)
        self.embed, self.norm, self.rotary = model.embed_tokens, model.norm, model.rotary_emb
        own: Any = target.get_output_embeddings()
        rows = own.weight if output is None else output.to(target.dtype)
        self.head = partial(nn.functional.linear, weight=rows)
        self.num_heads: int = config.num_attention_heads
        self.dtype: torch.dtype = target.dtype

    def __len__(self) -> int:
        return len(self.layers)

    @torch.no_grad()
    def real(self, ids: Tensor) -> RealRows:
        """The plain causal pass over ids (b, t)."""
        x = self.embed(ids)
        turn = self.rotary(x, torch.arange(ids.shape[1], device=ids.device)[None])
        rows = RealRows([x], [], [])
        for layer in self.layers:
            query, key, value = self._project(layer, x, turn)
            attended = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = self._finish(layer, x, attended)
            rows.entering.append(x)
            rows.keys.append(key)
            rows.values.append(value)
        return rows

    def pseudo(
        self, rows: RealRows, places: Tensor, layers: tuple[int, ...], make: MakeState, *, sees_earlier: bool = True
    ) -> Iterator[tuple[int, Tensor]]:
        """States of pseudo rows of all steps that look ahead from `places (b, p)` of the rows.

        Yields (layer, states before it (b, p, k, h)) from where the first enter, then (number of layers, states
        behind the last). `layers[k - 1]` is where step k enters; at a layer the steps that are there stand in order.
        `sees_earlier` False takes the owner's earlier pseudo rows out of sight: the ablation.
        """
        states: dict[int, Tensor] = {}
        for number, layer in enumerate(self.layers):
            for step, own in enumerate(layers, start=1):
                if own == number:
                    owners = rows.entering[number].take_along_dim(places[..., None], dim=1)
                    states[step] = make(step, owners).to(self.dtype)
            if not states:
                continue
            steps = sorted(states)
            x = torch.stack([states[step] for step in steps], dim=2)
            yield number, x
            x = self._pseudo_layer(number, layer, x, rows, places, steps, sees_earlier=sees_earlier)
            states = dict(zip(steps, x.unbind(dim=2), strict=True))
        yield len(self.layers), torch.stack([states[step] for step in sorted(states)], dim=2)

    def scores(self, states: Tensor) -> Tensor:
        """Logits (…, v) of states (…, h) behind the last layer."""
        logits: Tensor = self.head(self.norm(states))
        return logits

    def _pseudo_layer(
        self,
        number: int,
        layer: Any,
        x: Tensor,
        rows: RealRows,
        places: Tensor,
        steps: list[int],
        *,
        sees_earlier: bool,
    ) -> Tensor:
        """One layer over (b, p, k, h)."""
        num_rows, num_places, num_steps, width = x.shape
        flat = x.reshape(num_rows, num_places * num_steps, width)
        positions = (places[..., None] + torch.tensor(steps, device=places.device)).flatten(1)
        query, key, value = self._project(layer, flat, self.rotary(flat, positions))
        scale = query.shape[-1] ** -0.5
        on_real = (query * scale) @ rows.keys[number].mT
        is_hidden = torch.arange(on_real.shape[-1], device=places.device) > places[..., None]
        on_real = on_real.masked_fill(is_hidden.repeat_interleave(num_steps, dim=1)[:, None], -torch.inf)
        query, key, value = (part.unflatten(2, (num_places, num_steps)) for part in (query, key, value))
        own = torch.ones(num_steps, num_steps, dtype=torch.bool, device=places.device)
        own = own.tril() if sees_earlier else own.tril().triu()
        on_own = ((query * scale) @ key.mT).masked_fill(~own, -torch.inf)
        scores = torch.cat((on_real.unflatten(2, (num_places, num_steps)), on_own), dim=-1)
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype)
        seen = weights[..., :-num_steps].flatten(2, 3) @ rows.values[number]
        attended = seen + (weights[..., -num_steps:] @ value).flatten(2, 3)
        return self._finish(layer, flat, attended).view_as(x)

    def _project(self, layer: Any, x: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value (b, heads, t, d) of rows (b, t, h); key heads repeated for the heads that share them."""
        attention, normed = layer.self_attn, layer.input_layernorm(x)
        heads = (x.shape[0], x.shape[1], -1, attention.head_dim)
        query, key = attention.q_proj(normed).view(heads), attention.k_proj(normed).view(heads)
        if hasattr(attention, "q_norm"):
            query, key = attention.q_norm(query), attention.k_norm(key)
        value = attention.v_proj(normed).view(heads).transpose(1, 2)
        query, key = (_turned(part.transpose(1, 2), *turn) for part in (query, key))
        num_shared = self.num_heads // key.shape[1]
        return query, key.repeat_interleave(num_shared, dim=1), value.repeat_interleave(num_shared, dim=1)

    def _finish(self, layer: Any, x: Tensor, attended: Tensor) -> Tensor:
        x = x + layer.self_attn.o_proj(attended.transpose(1, 2).flatten(2))
        finished: Tensor = x + layer.mlp(layer.post_attention_layernorm(x))
        return finished


def _turned(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of (b, heads, t, d)."""
    first, second = heads.chunk(2, dim=-1)
    return heads * cos[:, None] + torch.cat((-second, first), dim=-1) * sin[:, None]
