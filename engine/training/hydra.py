"""Training of Hydra's heads: each reads the true tokens before the one that it foresees (arXiv 2402.05109).

Head i reads a state of place p and the embeddings of tokens p + 1 … p + 1 + i, and foresees token p + 2 + i.
`--variant 2`, the default, is Hydra++: the state is what one decoder layer over the target's states makes, heads are
four blocks deep, and they learn the target's distribution (the teacher loss). `--variant 1` is Hydra: the target's
state itself, one block, and the text's own token.

Our choices: heads score with the target's own output layer, where the released ones have one each (at this size they
would be half of all weights); the start by least squares; the trainer's schedule and Muon, and no dropout, since
trainings here are short; of the target's distribution its 16 likeliest tokens. As in the released code a head's blocks
behind the first are one module, so they share weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from engine.drafters.heads._decoder_layer import LayerShape
from engine.errors import BadInput
from engine.training.decoder_layer import DecoderLayer, RMSNorm, sizes_like
from engine.training.head_training import train_heads
from engine.training.heads import Heads, least_squares
from engine.training.material import Material
from engine.training.packing import IGNORED
from engine.training.recipes import Recipe
from engine.training.runs import Order

NUM_HEADS, NUM_LAYERS = 4, 4
PLAIN, PLUS = 1, 2
"""Variants: Hydra, Hydra++."""


class Block(nn.Module):
    """R x + SiLU(W x) to width `size`; R is nothing where x is so wide already. W adds nothing at first."""

    def __init__(self, size: int, num_parts: int = 1) -> None:
        super().__init__()
        self.linear = nn.Linear(num_parts * size, size)
        self.res_connection = nn.Linear(num_parts * size, size) if num_parts > 1 else nn.Identity()
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.res_connection(x) + nn.functional.silu(self.linear(x))
        return mixed


class Prefix(DecoderLayer):
    """A decoder layer with a norm behind it, over a row's states."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__(shape)
        self.norm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)

    def forward(self, hidden: Tensor) -> Tensor:
        """(b, t, d), each place looking at itself and those before it."""
        places = torch.arange(hidden.shape[1], device=hidden.device)[None]
        query, (key, value) = self.query(hidden, places), self.key_value(hidden, places)
        attended = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        found: Tensor = self.norm(self.finish(hidden, attended))
        return found


class HydraHeads(Heads):
    """`num_heads` heads over a frozen target's embedding and output layer, neither trained or kept."""

    has_context = False
    embedding: Tensor
    output: Tensor

    def __init__(self, shape: LayerShape, embedding: Tensor, output: Tensor, *, is_plus: bool) -> None:
        """`embedding (v, d)` and `output (n, d)` are the target's own."""
        super().__init__()
        self.shape, self.vocab_size, self.is_plus, self.is_distilled = shape, len(embedding), is_plus, is_plus
        self.num_heads, self.num_layers, size = NUM_HEADS, NUM_LAYERS if is_plus else 1, shape.hidden_size
        self.prefix = Prefix(shape) if is_plus else None
        self.hydra_mlp = nn.ModuleList(
            nn.ModuleList([Block(size, head + 2), *([Block(size)] if self.num_layers > 1 else [])])
            for head in range(self.num_heads)
        )
        self.register_buffer("embedding", embedding, persistent=False)
        self.register_buffer("output", output, persistent=False)

    def contextual(self, hidden: Tensor) -> Tensor:
        hidden = hidden.to(self._first(0).linear.weight.dtype)
        return hidden if self.prefix is None else cast(Tensor, self.prefix(hidden))

    def scores(self, ids: Tensor, hidden: Tensor) -> Iterator[Tensor]:
        """Logits of each head, fed the text's own tokens."""
        for blocks, given in zip(self.hydra_mlp, self.given(ids, hidden), strict=True):
            first, *others = cast(nn.ModuleList, blocks)
            y = first(given)
            for block in others * (self.num_layers - 1):
                y = block(y)
            yield nn.functional.linear(y, self.output.to(y.dtype))

    def given(self, ids: Tensor, hidden: Tensor) -> Iterator[Tensor]:
        """What each head reads, (b, p, (i + 2) · d)."""
        num_places = ids.shape[1] - 1 - self.num_heads
        embedded = nn.functional.embedding(ids[:, 1:-1], self.embedding).to(hidden.dtype)
        given = hidden[:, :num_places]
        for head in range(self.num_heads):
            given = torch.cat((given, embedded[:, head : head + num_places]), dim=-1)
            yield given

    @torch.no_grad()
    def fit(self, ids: Tensor, hidden: Tensor) -> None:
        """A start by least squares: which of the target's states comes i + 1 places on, linearly.

        Steps of gradient descent are dear, and this is worth hundreds of them.
        """
        labels, states = self.labels(ids), self.contextual(hidden)
        for head, given in enumerate(self.given(ids.clamp(min=0), states)):
            is_asked = labels[head] != IGNORED
            wanted = hidden[:, head + 1 : head + 1 + is_asked.shape[1]][is_asked].float()
            one = torch.ones(len(wanted), 1, device=wanted.device)
            found = least_squares(torch.cat((given[is_asked].float(), one), dim=-1), wanted)
            by_pass = cast(nn.Linear, self._first(head).res_connection)
            by_pass.weight.copy_(found[:, :-1])
            by_pass.bias.copy_(found[:, -1])

    def tensors(self) -> dict[str, Tensor]:
        """Weights by their names in this module."""
        return {name: parameter.data for name, parameter in self.named_parameters()}

    def config(self) -> dict[str, Any]:
        """The published keys, and the layer's sizes."""
        found = {
            "architectures": ["HydraModel"],
            "hydra_num_heads": self.num_heads,
            "hydra_num_layers": self.num_layers,
            "hydra_head_arch": "prefix-mlp" if self.is_plus else "mlp",
            "grounded_heads": True,
            "hidden_state_offset": 0,
            "vocab_size": self.vocab_size,
        }
        sizes = asdict(self.shape)
        rope = {"rope_type": "default", "rope_theta": sizes.pop("rope_theta")}
        layer = {**sizes, "num_key_value_heads": self.shape.num_attention_heads, "rope": rope}
        return found | (layer if self.is_plus else {"hidden_size": self.shape.hidden_size})

    def _first(self, head: int) -> Block:
        return cast(Block, cast(nn.ModuleList, self.hydra_mlp[head])[0])


def make(material: Material, recipe: Recipe, variant: int = PLUS) -> HydraHeads:
    """Untrained heads for a target. Raises BadInput."""
    if variant not in (PLAIN, PLUS):
        raise BadInput(f"--variant is {variant}; Hydra has {PLAIN} (Hydra) and {PLUS} (Hydra++).")
    shape = LayerShape(**sizes_like(material.target.config.get_text_config()))
    embedding = cast(nn.Embedding, material.target.get_input_embeddings()).weight.detach()
    return HydraHeads(shape, embedding, material.output_table.to(embedding.dtype), is_plus=variant == PLUS)


def make_fitted(material: Material, recipe: Recipe, variant: int = PLUS) -> HydraHeads:
    """Heads with their start fitted to the first of the text that the target wrote."""
    heads = make(material, recipe, variant).reading(material).to(material.target.device)
    heads.fit(*material.sample(recipe.seed))
    return heads


def train(order: Order) -> None:
    """What `train hydra` does."""
    train_heads(order, "hydra", partial(make_fitted, variant=order.variant or PLUS))
