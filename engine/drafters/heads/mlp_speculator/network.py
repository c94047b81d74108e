"""MLP Speculator's stages on branches of a draft, through torch or, where small and on a CPU, compiled.

Arithmetic and names are the paper's (arXiv 2404.19124) and the published code's, as mlp_speculator.py says. Knows
hidden states, tokens and levels of branches; knows nothing of draft trees, options or verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from engine.drafters.heads._candidates import LogProbs, Tokens, likeliest
from engine.drafters.heads._weights import MOST_COMPILED, Weights
from engine.models import LoadedModel
from engine.runtime.compiled import runs_compiled
from engine.runtime.linear import pack

if TYPE_CHECKING:
    from engine.drafters.heads.mlp_speculator import kernel

EPS = float(np.float32(1e-6))


def mixing_ratio(num_heads: int, inner: int) -> float:
    """emb_weight ÷ state_weight, of the number of stages that were trained."""
    state_weight = 0.5 ** (0.5 / num_heads)
    return float(((1 - state_weight**2) * inner / 2) ** 0.5 / state_weight)


@dataclass(frozen=True)
class Level:
    """The branches that end at one depth: k candidates behind each branch of the level before that was gone on with."""

    tokens: Tokens
    parents: Tokens
    """Place of each branch's beginning in the level before; 0, the root, at the first."""
    values: LogProbs
    """Log-probability of the whole branch."""


@dataclass(frozen=True)
class Stage:
    """One stage as torch runs it."""

    embedding: Tensor
    """(v, m), the mixing ratio in it."""
    proj: nn.Module
    norm_weight: Tensor
    norm_bias: Tensor
    head: nn.Module


@dataclass(frozen=True)
class StageWeights:
    """One stage in float32, the mixing ratio in its embedding."""

    embedding: Tensor
    proj: Tensor
    norm_weight: Tensor
    norm_bias: Tensor
    head: Tensor


class Speculator:
    """The stages, ready to run for one target. Shared by sessions."""

    def __init__(self, weights: Weights, dtype: torch.dtype, device: torch.device, vocabulary: str = "all") -> None:
        """Raises BadInput where tensors do not fit the config."""
        self.num_heads, self.width = weights.number("n_predict"), weights.number("emb_dim")
        self.vocab_size = weights.number("vocab_size")
        is_trimmed = vocabulary == "frequent"
        self.vocabulary = weights.vocabulary(self.vocab_size) if is_trimmed else np.arange(self.vocab_size)
        """Token id of each score."""
        self.inner = weights.number("inner_dim", low=0, default=0) or self.width
        self.is_tied = bool(weights.config.get("tie_weights", False))
        self.is_scaled = bool(weights.config.get("scale_input", False))
        self.num_candidates = weights.number("n_candidates", default=5)
        self.top_k = [int(k) for k in weights.config.get("top_k_tokens_per_head", [])] or [5, 3, 2]
        self.top_k = [*self.top_k, *self.top_k[-1:] * self.num_heads][: self.num_heads]
        self.dtype, self.device = dtype, device
        # Tied weights have one table, norm and head, and one projection from the second stage on.
        read = [self._read(weights, i) for i in range(min(self.num_heads, 2) if self.is_tied else self.num_heads)]
        self.stages = [self._stage(stage) for stage in read]
        num_embedded = (1 if self.is_tied else self.num_heads) * self.vocab_size * self.inner
        is_compiled = runs_compiled(device) and num_embedded <= MOST_COMPILED
        self.compiled = self._compile(read) if is_compiled else None

    def levels(self, hidden: Tensor, root_id: int, top_k: Sequence[int], most: int) -> list[Level]:
        """The branches after each stage, from the target's hidden state (1, d) that produced the root.

        Stage i offers its best `top_k[i]` behind each of the `most` best branches.
        """
        state, top_k = self.first_state(hidden), [min(k, len(self.vocabulary)) for k in top_k]
        if self.compiled is not None:
            return self._grow_compiled(self.compiled, state, root_id, top_k, most)
        return self._grow(state, root_id, top_k, most)

    def first_state(self, hidden: Tensor) -> Tensor:
        """(1, d) hidden state of the target → the state that stage 0 reads."""
        return _rms(hidden.float()) * 2**-0.5 if self.is_scaled else hidden.float()

    @torch.inference_mode()
    def advance(self, i: int, state: Tensor, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Stage i on k branches: state (k, ·) and their last tokens (k,) → state (k, m), scores (k, n)."""
        stage = self.stages[min(i, len(self.stages) - 1)]
        mixed = stage.proj.forward(state.to(self.dtype)).float()
        mixed += nn.functional.embedding(torch.from_numpy(tokens).to(self.device), stage.embedding)
        state = nn.functional.gelu(torch.addcmul(stage.norm_bias, _rms(mixed), stage.norm_weight))
        return state, stage.head.forward(state.to(self.dtype))

    def _grow(self, state: Tensor, root_id: int, top_k: Sequence[int], most: int) -> list[Level]:
        tokens, values, kept = np.array([root_id]), np.zeros(1), np.zeros(1, np.int64)
        levels: list[Level] = []
        for i, k in enumerate(top_k):
            state, scores = self.advance(i, state, tokens)
            places, log_probs = likeliest(scores, k)
            found = self.vocabulary[places].reshape(-1)
            levels.append(Level(found, np.repeat(kept, k), (values[:, None] + log_probs).reshape(-1)))
            kept = np.argsort(-levels[-1].values, kind="stable")[:most]
            values, tokens = levels[-1].values[kept], found[kept]
            state = state[torch.from_numpy(kept // k).to(state.device)]
        return levels

    @staticmethod
    def _grow_compiled(
        stages: kernel.Stages, state: Tensor, root_id: int, top_k: Sequence[int], most: int
    ) -> list[Level]:
        from engine.drafters.heads.mlp_speculator import kernel
        from engine.runtime.cpu.threads import compiled_threads

        size, sizes = (len(top_k), most * max(top_k, default=0)), np.zeros(len(top_k), np.int64)
        grown = kernel.Grown(np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size), sizes)
        with compiled_threads():
            kernel.grow(stages, state[0].numpy(), root_id, np.array(top_k, np.int64), most, grown)
        rows = zip(grown.tokens, grown.parents, grown.values, sizes.tolist(), strict=True)
        return [Level(tokens[:n], parents[:n], values[:n]) for tokens, parents, values, n in rows]

    def _read(self, weights: Weights, i: int) -> StageWeights:
        inner, own = self.inner, 0 if self.is_tied else i
        embedding = weights.take(f"speculator.emb.{own}.weight", self.vocab_size, inner).float()
        return StageWeights(
            embedding=embedding * mixing_ratio(self.num_heads, inner),
            proj=weights.take(f"speculator.proj.{i}.weight", inner, inner if i else self.width).float(),
            norm_weight=weights.take(f"speculator.ln.{own}.weight", inner).float(),
            norm_bias=weights.take(f"speculator.ln.{own}.bias", inner).float(),
            head=weights.take(f"speculator.head.{own}.weight", self.vocab_size, inner)[self.vocabulary].float(),
        )

    def _stage(self, stage: StageWeights) -> Stage:
        return Stage(
            embedding=stage.embedding.to(self.device, self.dtype),
            proj=self._linear(stage.proj),
            norm_weight=stage.norm_weight.to(self.device),
            norm_bias=stage.norm_bias.to(self.device),
            head=self._linear(stage.head),
        )

    def _linear(self, weight: Tensor) -> nn.Module:
        return pack(weight.to(self.device, self.dtype).contiguous(), None)

    def _compile(self, stages: Sequence[StageWeights]) -> kernel.Stages:
        from engine.drafters.heads.mlp_speculator import kernel
        from engine.runtime.cpu.small_products import numbers_of, packed

        own = stages[:1] if self.is_tied else stages
        places = np.arange(self.num_heads)
        later = [packed(stages[min(i, len(stages) - 1)].proj, self.dtype) for i in places[1:]]
        first = packed(stages[0].proj, self.dtype)
        return kernel.Stages(
            first=first,
            later=np.stack(later) if later else np.zeros((0, 1, 1, 1), first.dtype),
            own=np.minimum(places, len(own) - 1),
            tables=np.stack([numbers_of(stage.embedding.to(self.dtype)) for stage in own]),
            norm_weights=np.stack([stage.norm_weight.numpy() for stage in own]),
            norm_biases=np.stack([stage.norm_bias.numpy() for stage in own]),
            heads=np.stack([packed(stage.head, self.dtype) for stage in own]),
            vocabulary=self.vocabulary,
        )


def _rms(x: Tensor) -> Tensor:
    """X ÷ √(mean x² + ε): no mean is taken off."""
    scale: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(EPS).rsqrt_()
    return x * scale


def load_speculator(weights: Weights, loaded: LoadedModel, vocabulary: str) -> Speculator:
    """The stages of a weights folder for one target, once for all sessions."""
    key = ("mlp speculator", weights, vocabulary)
    return loaded.keep(key, lambda: Speculator(weights, loaded.dtype, loaded.device, vocabulary))
