"""Logits to distributions to tokens.

`warp` is the one place where temperature, top-k, top-p and repetition penalty act; acceptance,
residual, bonus and plain decoding all use its result. `Noise` is the session's randomness, a pure
function of seed and place, so that a token drawn at an absolute position is the same whoever
proposed it (Gumbel coupling, docs/decisions/0003).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from engine.config import GenerationConfig

Floats = np.ndarray[Any, np.dtype[np.float32]]
Integers = np.ndarray[Any, np.dtype[np.int64]]
Contexts = Sequence[Iterable[int]]
"""Token ids before each row of a pass."""

_NO_IDS: Integers = np.empty(0, np.int64)
_STREAMS = 2**40
_LEAST_TEMPERATURE = 1e-30
_NUM_REMEMBERED = 32
"""Places whose noise is kept: a drafter asks for those ahead, and so does the rule that judges its drafts."""


def warp(logits: Tensor, config: GenerationConfig, contexts: Contexts | None = None) -> Tensor:
    """Target distributions, (n, v) logits → (n, v) float32 probabilities.

    `contexts[i]` holds the token ids before row i's token, the row's own path included; needed for
    the repetition penalty only. Temperature 0 gives the one-hot arg-max, ties to the lowest id; of
    tokens that are equal at the border of top-k or top-p those with the lowest ids are kept. A row
    whose highest score is not finite gives NaN.
    """
    if config.is_greedy:
        logits = penalised(logits, config, contexts)
        return torch.zeros_like(logits).scatter_(1, likeliest(logits)[:, None], 1.0)
    return displayed(logits, config, contexts)


def displayed(logits: Tensor, config: GenerationConfig, contexts: Contexts | None = None) -> Tensor:
    """Distributions worth showing: as `warp`, except that greedy decoding shows the softmax."""
    logits = logits.float()
    if logits.device.type == "cpu":
        return _compiled(logits, config, contexts)
    return _through_torch(logits, config, contexts)


def likeliest(scores: Tensor) -> Tensor:
    """Arg-max of each row, (n, v) → (n,), ties to the lowest id; NaN counts as the highest of all."""
    if scores.device.type != "cpu":
        return scores.argmax(dim=1)
    # Of a few rows numpy's takes a tenth of torch's, which wakes its threads for it.
    return torch.from_numpy(scores.numpy().argmax(axis=1))


def penalised(logits: Tensor, config: GenerationConfig, contexts: Contexts | None = None) -> Tensor:
    """Scores (n, v) float32, the repetition penalty applied: all of `warp` that can change a row's arg-max."""
    logits = logits.float()
    if config.repetition_penalty == 1 or contexts is None:
        return logits
    return _penalise(logits, contexts, config.repetition_penalty)


def _penalise(logits: Tensor, contexts: Contexts, penalty: float) -> Tensor:
    """CTRL's repetition penalty (arXiv 1909.05858, section 4.1), each row with its own context.

    An id that stands twice in a context is written twice with the same number.
    """
    logits = logits.clone()
    for row, context in zip(logits, contexts, strict=True):
        ids = torch.as_tensor(_as_ids(context), device=logits.device)
        scores = row[ids]
        row[ids] = torch.where(scores > 0, scores / penalty, scores * penalty)
    return logits


def _as_ids(context: Iterable[int]) -> Integers:
    return context if isinstance(context, np.ndarray) else np.fromiter(context, np.int64)


def _shape(config: GenerationConfig) -> tuple[float, int, float]:
    """Temperature, top-k and top-p of what is shown."""
    return (1.0, 0, 1.0) if config.is_greedy else (as_temperature(config), config.top_k, config.top_p)


def as_temperature(config: GenerationConfig) -> float:
    """What scores are divided by; a number too small for that is as good as none."""
    return max(config.temperature, _LEAST_TEMPERATURE)


def _compiled(logits: Tensor, config: GenerationConfig, contexts: Contexts | None) -> Tensor:
    probs = torch.empty(logits.shape)
    how = for_kernel(config, contexts, range(len(logits)))
    compiled_loops().fill(logits.detach().contiguous().numpy(), *how, probs.numpy())
    return probs


def compiled_loops() -> Any:
    """The compiled loops, imported where they are needed: a machine that decodes on a GPU does without."""
    from engine.runtime.cpu import warping

    return warping


def for_kernel(config: GenerationConfig, contexts: Contexts | None, rows: Sequence[int]) -> tuple[Any, Any]:
    """Contexts and settings as the kernels read them; a penalty without contexts has nothing to act on."""
    temperature, top_k, top_p = _shape(config)
    shape = compiled_loops().Shape(np.float32(1 / temperature), top_k, top_p, np.float32(config.repetition_penalty))
    has_penalty = config.repetition_penalty != 1 and contexts is not None
    ids = [_as_ids(contexts[row]) if has_penalty and contexts else _NO_IDS for row in rows]
    return compiled_loops().Seen(np.concatenate([_NO_IDS, *ids]), np.cumsum([0, *map(len, ids)])), shape


def _through_torch(logits: Tensor, config: GenerationConfig, contexts: Contexts | None) -> Tensor:
    """The same for any device."""
    temperature, top_k, top_p = _shape(config)
    logits = penalised(logits, config, contexts)
    logits = (logits - logits.amax(dim=1, keepdim=True)) / temperature
    return _nucleus(_keep_top_k(logits, top_k), top_p)


def _keep_top_k(logits: Tensor, top_k: int) -> Tensor:
    if not 0 < top_k < logits.shape[1]:
        return logits
    floor = logits.topk(top_k, dim=1).values[:, -1:]
    num_above = (logits > floor).sum(dim=1, keepdim=True)
    is_at_floor = logits == floor
    is_kept = (logits > floor) | (is_at_floor & (is_at_floor.cumsum(dim=1) <= top_k - num_above))
    return logits.masked_fill(~is_kept, -torch.inf)


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
        self._gumbel: dict[tuple[int, int], Tensor] = {}

    def gumbel(self, position: int, num_tokens: int) -> Tensor:
        """Gumbel noise (v,) float32 for the token at an absolute position of the context."""
        key = position, num_tokens
        if key not in self._gumbel:
            if len(self._gumbel) >= _NUM_REMEMBERED:
                del self._gumbel[next(iter(self._gumbel))]
            exponential = torch.empty(num_tokens).exponential_(generator=self.generator(position))
            self._gumbel[key] = -exponential.clamp_(min=1e-30).log()
        return self._gumbel[key]

    def generator(self, place: int, stream: int = 0) -> torch.Generator:
        """A generator of its own for each (seed, place, stream)."""
        # splitmix64's finaliser: neighbouring keys must not give related Mersenne states.
        key = (self.seed * 0x9E3779B97F4A7C15 + place + stream * _STREAMS + 1) % 2**64
        key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        key = (key ^ (key >> 27)) * 0x94D049BB133111EB % 2**64
        return torch.Generator().manual_seed((key ^ (key >> 31)) % 2**63)


def coupled_scores(probs: Tensor, gumbel: Tensor) -> Tensor:
    """Log-probability plus noise (v,): the highest is the draw from `probs (v,)` that this noise stands for."""
    return probs.log() + gumbel.to(probs.device)


def coupled_token(probs: Tensor, gumbel: Tensor) -> int:
    """The draw itself."""
    return int(coupled_scores(probs, gumbel).argmax())


def draw(weights: Tensor, generator: torch.Generator) -> int:
    """One token from unnormalised non-negative weights (v,)."""
    return int(torch.multinomial(weights.cpu(), 1, generator=generator))


def draw_distinct(weights: Tensor, num_tokens: int, generator: torch.Generator) -> list[int]:
    """Tokens one after the other from weights (v,), none twice: 1 … `num_tokens`, no more than have a weight."""
    num = min(num_tokens, int(weights.count_nonzero()))
    found: list[int] = torch.multinomial(weights.cpu(), num, generator=generator).tolist()
    return found


def fitted(logits: Tensor, num_tokens: int) -> Tensor:
    """A drafter's scores (m, v) as float32 scores (m, num_tokens) of the target's tokens.

    Tables are padded to round sizes, each model's to its own: what only the drafter has is cut off, what it lacks
    is -inf.
    """
    missing = max(0, num_tokens - logits.shape[1])
    return torch.nn.functional.pad(logits[:, :num_tokens].float(), (0, missing), value=-torch.inf)
