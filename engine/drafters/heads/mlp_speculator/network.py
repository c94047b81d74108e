"""MLP Speculator's stages on branches of a draft: torch, played on a GPU, or, where small and on a CPU, compiled.

Arithmetic and names are the paper's (arXiv 2404.19124) and the published code's, as method.py says. Knows
hidden states, tokens and levels of branches; knows nothing of draft trees, options or verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from engine.drafters.heads._candidates import Candidates, Tokens, ranked, read
from engine.drafters.heads._layers import is_compiled, linear, normed, output_rows, player
from engine.drafters.heads._levels import Level, grow
from engine.drafters.heads._weights import Weights

if TYPE_CHECKING:
    from engine.drafters.heads.mlp_speculator import kernel
    from engine.models import LoadedModel

EPS = float(np.float32(1e-6))
EVERY_NODE = 1_024
"""More than a draft ever has."""


def mixing_ratio(num_heads: int, inner: int) -> float:
    """emb_weight ÷ state_weight, of the number of stages that were trained."""
    state_weight = 0.5 ** (0.5 / num_heads)
    return float(((1 - state_weight**2) * inner / 2) ** 0.5 / state_weight)


class Stage(NamedTuple):
    """Weights of one stage, float32."""

    embedding: Tensor
    """(v, m), the mixing ratio in it."""
    norm_weight: Tensor
    norm_bias: Tensor
    proj: Tensor
    head: Tensor


class Speculator:
    """The stages, ready to run for one target. Shared by sessions."""

    def __init__(self, weights: Weights, loaded: LoadedModel, vocabulary: str = "all") -> None:
        """`vocabulary` is the method's option. Raises BadInput where tensors fit neither config nor target."""
        self.num_heads, self.width = weights.number("n_predict"), weights.number("emb_dim")
        self.vocab_size = weights.number("vocab_size")
        weights.check_sizes(loaded, self.width, self.vocab_size)
        is_trimmed = vocabulary == "frequent"
        self.vocabulary = weights.vocabulary(self.vocab_size) if is_trimmed else np.arange(self.vocab_size)
        """Token id of each score."""
        self.inner = weights.number("inner_dim", low=0, default=0) or self.width
        self.is_tied = bool(weights.config.get("tie_weights", False))
        self.is_scaled = bool(weights.config.get("scale_input", False))
        self.num_candidates = weights.number("n_candidates", default=5)
        self.top_k = [int(k) for k in weights.config.get("top_k_tokens_per_head", [])] or [5, 3, 2]
        self.top_k = [*self.top_k, *self.top_k[-1:] * self.num_heads][: self.num_heads]
        self.dtype, self.device, self._player = loaded.dtype, loaded.device, player(loaded)
        # Tied weights have one table, norm and head, and one projection from the second stage on.
        num_own = 1 if self.is_tied else self.num_heads
        tables = [self._tables(weights, loaded, own) for own in range(num_own)]
        num_stages = min(self.num_heads, 2) if self.is_tied else self.num_heads
        stages = [self._read(weights, i, *tables[min(i, num_own - 1)]) for i in range(num_stages)]
        self._stages = [
            (s.embedding.to(self.device, self.dtype), s.norm_weight.to(self.device), s.norm_bias.to(self.device))
            for s in stages
        ]
        self._linears = [(linear(loaded, stage.proj), linear(loaded, stage.head)) for stage in stages]
        is_small = is_compiled(loaded, num_own * len(self.vocabulary) * self.inner)
        self.compiled = self._compile(stages, num_own) if is_small else None

    def levels(
        self, hidden: Tensor, root_id: int, top_k: Sequence[int], most: int, num_nodes: int = EVERY_NODE
    ) -> list[Level]:
        """The branches after each stage, from the target's hidden state (1, d) that produced the root.

        Stage i offers its best `top_k[i]` behind each of the `most` best branches that may still lead to one of the
        `num_nodes` likeliest nodes; where there is none it is not run.
        """
        state, top_k = self.first_state(hidden), [min(k, len(self.vocabulary)) for k in top_k]
        if self.compiled is not None:
            return [Level(*columns) for columns in self.compiled.grow(state, root_id, top_k, most, num_nodes)]
        return self._grow(state, root_id, top_k, most, num_nodes)

    def first_state(self, hidden: Tensor) -> Tensor:
        """(1, d) hidden state of the target → the state that stage 0 reads."""
        return normed(hidden.float(), EPS) * 2**-0.5 if self.is_scaled else hidden.float()

    @torch.inference_mode()
    def advance(self, i: int, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Stage i on k branches: state (k, ·) and their last tokens (k,) → state (k, m), scores (k, n)."""
        place = min(i, len(self._stages) - 1)
        (embedding, norm_weight, norm_bias), (proj, head) = self._stages[place], self._linears[place]
        mixed = proj.forward(state.to(self.dtype)).float()
        mixed += nn.functional.embedding(tokens, embedding)
        state = nn.functional.gelu(torch.addcmul(norm_bias, normed(mixed, EPS), norm_weight))
        return state, head.forward(state.to(self.dtype))

    def _grow(self, state: Tensor, root_id: int, top_k: Sequence[int], most: int, num_nodes: int) -> list[Level]:
        def advance(stage: int, rows: Tokens, tokens: Tokens) -> Candidates:
            nonlocal state
            work = partial(self._ranked, stage, top_k[stage])
            state, found = self._player.run((stage, top_k[stage]), work, (rows, tokens), (state,))
            places, log_probs = read(found, len(tokens))
            return self.vocabulary[places], log_probs

        return grow(advance, root_id, len(top_k), most, num_nodes)

    def _ranked(self, stage: int, top_k: int, rows: Tensor, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Of branches behind some rows of the stage before: their state, and what `read` reads."""
        state, scores = self.advance(stage, state.index_select(0, rows), tokens)
        return state, ranked(scores, top_k)

    def _read(self, weights: Weights, i: int, embedding: Tensor, head: Tensor) -> Stage:
        inner, own = self.inner, 0 if self.is_tied else i
        return Stage(
            embedding=embedding * mixing_ratio(self.num_heads, inner),
            proj=weights.take(f"speculator.proj.{i}.weight", inner, inner if i else self.width).float(),
            norm_weight=weights.take(f"speculator.ln.{own}.weight", inner).float(),
            norm_bias=weights.take(f"speculator.ln.{own}.bias", inner).float(),
            head=head,
        )

    def _tables(self, weights: Weights, loaded: LoadedModel, own: int) -> tuple[Tensor, Tensor]:
        """(v, m) embeddings and the output layer (n, m) of the vocabulary, or products of the target's with factors."""
        emb, head = f"speculator.emb.{own}", f"speculator.head.{own}"
        if f"{emb}.factor" not in weights.tensors:
            embedding = weights.take(f"{emb}.weight", self.vocab_size, self.inner).float()
            return embedding, weights.take(f"{head}.weight", self.vocab_size, self.inner)[self.vocabulary].float()
        scale = float(weights.config.get("embedding_scale", 1.0))
        factor = weights.take(f"{emb}.factor", self.inner, self.width).float() * scale
        rows = output_rows(loaded, self.vocabulary)
        assert rows is not None
        table = cast(nn.Embedding, loaded.model.get_input_embeddings()).weight.detach()
        before = weights.take(f"{head}.factor", self.width, self.inner).float()
        return table.float().cpu() @ factor.mT, rows.float().cpu() @ before

    def _compile(self, stages: Sequence[Stage], num_own: int) -> kernel.CompiledStages:
        from engine.drafters.heads.mlp_speculator.kernel import CompiledStages

        projs = [stages[min(i, len(stages) - 1)].proj for i in range(self.num_heads)]
        return CompiledStages(projs, stages[:num_own], self.vocabulary, self.dtype)
