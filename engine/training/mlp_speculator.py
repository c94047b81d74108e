"""MLP Speculator's heads in training (arXiv 2404.19124): all stages at once, on the true tokens.

Stage i reads the state of the stage before it, the target's hidden state at first, and the true token before the
one that it foresees. Stage one of training takes both from the corpus, stage two from text that the target wrote;
the loss is the sum of the stages' mean cross-entropies (Sections 2 and 3, and the authors' published code).

Of a target with a large vocabulary the tables are not the heads' own: embeddings are the target's, turned by one
matrix to the heads' width, and output layers are a matrix before the target's own output layer, of which the frequent
tokens' rows are scored. Made into tables when they are loaded, they are the paper's.

Our choices: the trainer's schedule, and Muon for the projections, where the authors use AdamW alone; written text
is mostly greedy, where theirs is sampled among the likeliest 10; a stage learns the target's distribution at its place,
where theirs learns the token; embeddings begin as the target's where widths agree, and output layers as the least
squares fit, which shortens a short training.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from engine.drafters.heads.mlp_speculator.network import EPS, mixing_ratio
from engine.training.head_training import train_heads
from engine.training.heads import Heads, least_squares
from engine.training.material import Material
from engine.training.packing import IGNORED
from engine.training.recipes import Recipe
from engine.training.runs import Order

NUM_HEADS, INNER, FACTORED_INNER = 4, 384, 768
TOP_K_BY_HEAD, NUM_CANDIDATES = (5, 4, 3, 2), 12


class SpeculatorHeads(Heads):
    """`num_heads` stages of width `inner` on hidden states of width `hidden_size`."""

    has_static_tree = False
    is_distilled = True
    has_context = False

    def __init__(self, hidden_size: int, vocab_size: int, inner: int, num_heads: int, *, is_tied: bool) -> None:
        super().__init__()
        self.hidden_size, self.vocab_size, self.inner = hidden_size, vocab_size, inner
        self.num_heads, self.is_tied = num_heads, is_tied
        own = 1 if is_tied else num_heads
        self.embed = nn.ModuleList(nn.Embedding(vocab_size, inner) for _ in range(own))
        self.proj = nn.ModuleList(
            nn.Linear(inner if i else hidden_size, inner, bias=False) for i in range(2 if is_tied else num_heads)
        )
        self.norm_weight = nn.ParameterList(nn.Parameter(torch.ones(inner)) for _ in range(own))
        self.norm_bias = nn.ParameterList(nn.Parameter(torch.zeros(inner)) for _ in range(own))
        self.lm_head = nn.ModuleList(nn.Linear(inner, vocab_size, bias=False) for _ in range(own))
        for module in self.modules():
            if isinstance(module, nn.Embedding | nn.Linear):
                nn.init.normal_(module.weight, 0.0, inner**-0.5)

    def scores(self, ids: Tensor, hidden: Tensor) -> Iterator[Tensor]:
        """Teacher-forced logits of each stage."""
        for i, state in enumerate(self.states(ids, hidden)):
            yield self.scored(0 if self.is_tied else i, state)

    def scored(self, own: int, state: Tensor) -> Tensor:
        """Logits of a stage's state."""
        logits: Tensor = self.lm_head[own](state)
        return logits

    def embedded(self, own: int, ids: Tensor) -> Tensor:
        """A stage's embeddings of tokens."""
        found: Tensor = self.embed[own](ids)
        return found

    def states(self, ids: Tensor, hidden: Tensor) -> Iterator[Tensor]:
        """What each stage's output layer reads, (b, p, m)."""
        num_places = ids.shape[1] - 1 - self.num_heads
        ratio = mixing_ratio(self.num_heads, self.inner)
        state = _rms(hidden[:, :num_places]) * 2**-0.5
        for i in range(self.num_heads):
            own = 0 if self.is_tied else i
            token = self.embedded(own, ids[:, 1 + i : 1 + i + num_places])
            mixed = self.proj[min(i, 1) if self.is_tied else i](state) + ratio * token
            state = nn.functional.gelu(_rms(mixed) * self.norm_weight[own] + self.norm_bias[own])
            yield state

    @torch.no_grad()
    def fit(self, ids: Tensor, hidden: Tensor, output: Tensor) -> None:
        """A start by least squares: output layers through which untrained stages foresee the target's hidden state.

        `output (v, h)` turns hidden states into scores. Steps of gradient descent are dear; this is worth a hundred.
        """
        pairs = list(self._pairs(ids, hidden))
        together = [tuple(map(torch.cat, zip(*pairs, strict=True)))] if self.is_tied else pairs
        for head, (state, wanted) in zip(self.lm_head.parameters(), together, strict=True):
            head.copy_(output @ least_squares(state, wanted))

    def _pairs(self, ids: Tensor, hidden: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Of each stage its states (n, m) where it is asked, and the target's hidden states (n, h) that score there."""
        labels = self.labels(ids)
        for i, state in enumerate(self.states(ids.clamp(min=0), hidden.float())):
            is_asked = labels[i] != IGNORED
            yield state[is_asked], hidden[:, 1 + i : 1 + i + is_asked.shape[1]][is_asked].float()

    def tensors(self) -> dict[str, Tensor]:
        """The published names; a tied checkpoint holds each tensor once."""
        found: dict[str, Tensor] = {}
        for name in ("embed", "lm_head", "proj"):
            module = getattr(self, name, nn.ModuleList())
            name = {"embed": "emb", "lm_head": "head"}.get(name, name)
            found |= {f"speculator.{name}.{key}": tensor for key, tensor in module.state_dict(keep_vars=True).items()}
        for name, parameters in (("weight", self.norm_weight), ("bias", self.norm_bias)):
            found |= {f"speculator.ln.{i}.{name}": parameter for i, parameter in enumerate(parameters)}
        return found

    def config(self) -> dict[str, Any]:
        """The published keys."""
        top_k = [*TOP_K_BY_HEAD, *[2] * self.num_heads][: self.num_heads]
        return {
            "architectures": ["MLPSpeculatorPreTrainedModel"],
            "model_type": "mlp_speculator",
            "vocab_size": self.vocab_size,
            "emb_dim": self.hidden_size,
            "inner_dim": self.inner,
            "n_predict": self.num_heads,
            "top_k_tokens_per_head": top_k,
            "n_candidates": NUM_CANDIDATES,
            "tie_weights": self.is_tied,
            "scale_input": True,
        }


class FactoredHeads(SpeculatorHeads):
    """Tied stages whose tables are the target's, each behind a matrix."""

    table: Tensor
    output: Tensor

    def __init__(self, table: Tensor, output: Tensor, vocab_size: int, inner: int, num_heads: int) -> None:
        """`table (v, h)` and `output (n, h)` are the target's; neither is trained or kept."""
        super().__init__(table.shape[1], 1, inner, num_heads, is_tied=True)
        self.vocab_size = vocab_size
        del self.embed, self.lm_head
        self.embed_factor = nn.Linear(self.hidden_size, inner, bias=False)
        self.head_factor = nn.Linear(inner, self.hidden_size, bias=False)
        self.scale = float(inner**-0.5 / table.float().std())
        self.register_buffer("table", table, persistent=False)
        self.register_buffer("output", output, persistent=False)

    def scored(self, own: int, state: Tensor) -> Tensor:
        wanted: Tensor = self.head_factor(state)
        return nn.functional.linear(wanted, self.output.to(wanted.dtype))

    def embedded(self, own: int, ids: Tensor) -> Tensor:
        found: Tensor = self.embed_factor(self.table[ids].float() * self.scale)
        return found

    @torch.no_grad()
    def fit(self, ids: Tensor, hidden: Tensor, output: Tensor) -> None:
        states, wanted = map(torch.cat, zip(*self._pairs(ids, hidden), strict=True))
        self.head_factor.weight.copy_(least_squares(states, wanted))

    def tensors(self) -> dict[str, Tensor]:
        """The published names, with `factor` where a table is a product with the target's."""
        factors = {"emb": self.embed_factor, "head": self.head_factor}
        return super().tensors() | {f"speculator.{name}.0.factor": part.weight for name, part in factors.items()}

    def config(self) -> dict[str, Any]:
        """The published keys, and what the target's embeddings are multiplied with before their matrix."""
        return super().config() | {"embedding_scale": self.scale}


def _rms(x: Tensor) -> Tensor:
    """X ÷ √(mean x² + ε): no mean is taken off."""
    x = x.float()
    normed: Tensor = x * (x.square().mean(dim=-1, keepdim=True) + EPS).rsqrt()
    return normed


def make(material: Material, recipe: Recipe) -> SpeculatorHeads:
    """Untrained heads for a target."""
    if material.vocabulary is not None:
        table = cast(nn.Embedding, material.target.get_input_embeddings()).weight
        output = material.output_table.to(table.dtype)
        return FactoredHeads(table, output, material.vocab_size, FACTORED_INNER, NUM_HEADS)
    return SpeculatorHeads(material.hidden_size, material.vocab_size, INNER, NUM_HEADS, is_tied=True)


def make_fitted(material: Material, recipe: Recipe) -> SpeculatorHeads:
    """Heads whose embeddings and output layers begin with what the target knows."""
    heads = make(material, recipe).reading(material).to(material.target.device)
    if not isinstance(heads, FactoredHeads) and material.hidden_size == INNER:
        table = material.input_table * (INNER**-0.5 / material.input_table.std())
        for embed in heads.embed:
            embed.load_state_dict({"weight": table})
    heads.fit(*material.sample(recipe.seed), material.output_table)
    return heads


def train(order: Order) -> None:
    """Train and write the weights folder."""
    train_heads(order, "heads", make_fitted)
