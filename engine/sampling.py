"""Logits to distributions to tokens.

`warp` is the one place where temperature, top-k, top-p and repetition penalty act; acceptance,
residual, bonus and plain decoding all use its result. `Noise` is the session's randomness, a pure
function of seed and place, so that a token drawn at an absolute position is the same whoever
proposed it (Gumbel coupling, docs/decisions/0003).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from engine.config import GenerationConfig

_STREAMS = 2**40


def warp(logits: Tensor, config: GenerationConfig, contexts: Sequence[Iterable[int]] | None = None) -> Tensor:
    """Target distributions, (n, v) float32 logits → (n, v) float32 probabilities.

    `contexts[i]` holds the token ids before row i's token, the row's own path included; needed for
    the repetition penalty only. Temperature 0 gives the one-hot arg-max, ties to the lowest id.
    """
    logits = penalised(logits, config, contexts)
    if config.is_greedy:
        return torch.zeros_like(logits).scatter_(1, likeliest(logits)[:, None], 1.0)
    return _nucleus(_keep_top_k(logits / config.temperature, config.top_k), config.top_p)


def likeliest(scores: Tensor) -> Tensor:
    """Arg-max of each row, (n, v) → (n,), ties to the lowest id."""
    if scores.device.type != "cpu":
        return scores.argmax(dim=1)
    # Of a few rows numpy's takes a tenth of torch's, which wakes its threads for it.
    return torch.from_numpy(scores.numpy().argmax(axis=1))


def displayed(logits: Tensor, config: GenerationConfig, contexts: Sequence[Iterable[int]] | None = None) -> Tensor:
    """Distributions worth showing: as `warp`, except that greedy decoding shows the softmax."""
    if not config.is_greedy:
        return warp(logits, config, contexts)
    return penalised(logits, config, contexts).softmax(dim=1)


def penalised(logits: Tensor, config: GenerationConfig, contexts: Sequence[Iterable[int]] | None = None) -> Tensor:
    """Scores (n, v) float32, the repetition penalty applied: all of `warp` that can change a row's arg-max."""
    logits = logits.float()
    if config.repetition_penalty == 1 or contexts is None:
        return logits
    return _penalise(logits, contexts, config.repetition_penalty)


def _penalise(logits: Tensor, contexts: Sequence[Iterable[int]], penalty: float) -> Tensor:
    """CTRL's repetition penalty (arXiv 1909.05858, section 4.1), each row with its own context."""
    logits = logits.clone()
    for row, context in zip(logits, contexts, strict=True):
        ids = torch.tensor(sorted(set(context)), device=logits.device)
        scores = row[ids]
        row[ids] = torch.where(scores > 0, scores / penalty, scores * penalty)
    return logits


def _keep_top_k(logits: Tensor, top_k: int) -> Tensor:
    if not 0 < top_k < logits.shape[1]:
        return logits
    kept = logits.topk(top_k, dim=1)
    return torch.full_like(logits, -torch.inf).scatter_(1, kept.indices, kept.values)


def _nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Softmax over the smallest set of likeliest tokens whose share reaches `top_p` (1904.09751)."""
    probs = logits.softmax(dim=1)
    if top_p >= 1:
        return probs
    ranked, order = probs.sort(dim=1, descending=True, stable=True)
    ranked[ranked.cumsum(dim=1) - ranked >= top_p] = 0
    kept = torch.zeros_like(probs).scatter_(1, order, ranked)
    return kept / kept.sum(dim=1, keepdim=True)


class Noise:
    """The session's random numbers, keyed by seed and place."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._gumbel: tuple[int, Tensor] | None = None

    def gumbel(self, position: int, num_tokens: int) -> Tensor:
        """Gumbel noise (v,) float32 for the token at an absolute position of the context."""
        if self._gumbel is None or self._gumbel[0] != position or len(self._gumbel[1]) != num_tokens:
            exponential = torch.empty(num_tokens).exponential_(generator=self.generator(position))
            self._gumbel = position, -exponential.clamp_(min=1e-30).log()
        return self._gumbel[1]

    def generator(self, place: int, stream: int = 0) -> torch.Generator:
        """A generator of its own for each (seed, place, stream)."""
        # splitmix64's finaliser: neighbouring keys must not give related Mersenne states.
        key = (self.seed * 0x9E3779B97F4A7C15 + place + stream * _STREAMS + 1) % 2**64
        key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        key = (key ^ (key >> 27)) * 0x94D049BB133111EB % 2**64
        return torch.Generator().manual_seed((key ^ (key >> 31)) % 2**63)


def coupled_token(probs: Tensor, gumbel: Tensor) -> int:
    """The draw from `probs (v,)` that this noise stands for: arg-max of log-probability plus noise."""
    return int((probs.log() + gumbel.to(probs.device)).argmax())


def draw(weights: Tensor, generator: torch.Generator) -> int:
    """One token from unnormalised non-negative weights (v,)."""
    return int(torch.multinomial(weights.cpu(), 1, generator=generator))
