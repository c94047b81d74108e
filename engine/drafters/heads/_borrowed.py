"""What a drafter has of its own or, where its weights hold none, of its target: embedding, output layer, tokens.

And the rotary angles that its config names. Knows weights and a loaded target; no method.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from engine.drafters.heads._layers import linear, output_layer
from engine.errors import BadInput

if TYPE_CHECKING:
    from engine.drafters.heads._candidates import Tokens
    from engine.drafters.heads._weights import Weights
    from engine.models import LoadedModel


def embedding(weights: Weights, loaded: LoadedModel, size: int) -> Tensor:
    """(v, d): the drafter's own table, or the target's, without a factor that the target may have. Raises BadInput."""
    name, num_tokens = "embed_tokens.weight", loaded.model.get_output_embeddings().out_features
    if name in weights.tensors:
        table = weights.take(name, len(weights.tensors[name]), size).to(loaded.device, loaded.dtype)
        # Of one family of tokenizers tables are padded to several lengths.
        return nn.functional.pad(table, (0, 0, 0, max(0, num_tokens - len(table))))
    table = cast(nn.Embedding, loaded.model.get_input_embeddings()).weight.detach()
    if table.shape[1] != size:
        raise BadInput(f"The weights in {weights.folder} lack {name}, and the target's is {table.shape[1]} wide.")
    return table


def output(weights: Weights, loaded: LoadedModel, size: int, vocab_size: int) -> tuple[nn.Module, Tokens]:
    """What scores states (m, d), and the target's token of each of its rows. Raises BadInput.

    `vocab_size`: the tokens of the target that the weights are for.
    """
    name, num_tokens = "lm_head.weight", loaded.model.get_output_embeddings().out_features
    ids = weights.vocabulary(vocab_size)
    if name not in weights.tensors:
        ids = ids[ids < num_tokens]
        if size != loaded.model.get_output_embeddings().in_features:
            raise BadInput(f"The weights in {weights.folder} lack {name}, and are {size} wide.")
        return output_layer(loaded, ids), ids
    head = weights.take(name, len(weights.tensors[name]), size)
    own = drafted_ids(weights, len(head))
    kept = np.flatnonzero((own < num_tokens) & np.isin(own, ids))
    return linear(loaded, head[torch.from_numpy(kept)]), own[kept]


def drafted_ids(weights: Weights, num_rows: int) -> Tokens:
    """Token id of each row of an output layer of the drafter's own: its number and, where there is one, an offset."""
    if "d2t" not in weights.tensors:
        if num_rows < weights.number("vocab_size"):
            raise BadInput(f"The weights in {weights.folder} score {num_rows} tokens and lack d2t, which names them.")
        return np.arange(num_rows)
    ids: Tokens = np.arange(num_rows) + weights.take("d2t", num_rows).long().cpu().numpy()
    if ids.min() < 0 or len(set(ids.tolist())) < num_rows:
        raise BadInput(f"d2t in {weights.folder} names a token twice or below 0; wanted offsets to row numbers.")
    return ids


class Turned(Protocol):
    """A form whose rows are turned by their places."""

    @property
    def num_attention_heads(self) -> int: ...

    @property
    def head_dim(self) -> int: ...

    @property
    def max_position_embeddings(self) -> int: ...

    @property
    def rope(self) -> dict[str, Any]: ...


class Rotary:
    """A drafter's own rotary embedding, by transformers."""

    def __init__(self, num_heads: int, head_dim: int, most_positions: int, rope: Mapping[str, Any] | None) -> None:
        """`rope`: transformers' `rope_parameters`; none is the usual one."""
        self._rotary = LlamaRotaryEmbedding(
            LlamaConfig(
                hidden_size=num_heads * head_dim,
                num_attention_heads=num_heads,
                head_dim=head_dim,
                max_position_embeddings=most_positions,
                rope_parameters=dict(rope or {"rope_type": "default", "rope_theta": 10_000.0}),
            )
        )

    @classmethod
    def of(cls, form: Turned) -> Rotary:
        """The one that a form names."""
        return cls(form.num_attention_heads, form.head_dim, form.max_position_embeddings, form.rope)

    def angles(self, num_positions: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines (p, 1, e ÷ 2) of places from 0 on, as a tensor is kept."""
        cos, sin = self._rotary(like, torch.arange(num_positions, device=like.device)[None])
        half = cos.shape[-1] // 2
        return cos[0, :, None, :half], sin[0, :, None, :half]
