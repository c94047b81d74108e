"""Logits to distributions.

`warp` is the one place where temperature, top-k, top-p and repetition penalty act; acceptance,
residual, bonus and plain decoding all use its result. What is drawn from them, engine/noise.py says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.config import GenerationConfig
from engine.runtime import crossings
from engine.runtime.compiled import runs_compiled

Floats = np.ndarray[Any, np.dtype[np.float32]]
Integers = np.ndarray[Any, np.dtype[np.int64]]
Contexts = Sequence[Iterable[int]]
"""Token ids before each row of a pass."""

_NO_IDS: Integers = np.empty(0, np.int64)
_LEAST_TEMPERATURE = 1e-30


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
    if runs_compiled(logits.device):
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
        ids = crossings.upload(torch.from_numpy(_as_ids(context)), logits.device)
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
    if config.repetition_penalty == 1 or contexts is None:
        return compiled_loops().Seen(_NO_IDS, np.zeros(len(rows) + 1, np.int64)), shape
    ids = [_as_ids(contexts[row]) for row in rows]
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
    ranked.masked_fill_(ranked.cumsum(dim=1) - ranked >= top_p, 0.0)
    kept = torch.zeros_like(probs).scatter_(1, order, ranked)
    return kept / kept.sum(dim=1, keepdim=True)


def fitted(logits: Tensor, num_tokens: int) -> Tensor:
    """A drafter's scores (m, v) as float32 scores (m, num_tokens) of the target's tokens.

    Tables are padded to round sizes, each model's to its own: what only the drafter has is cut off, what it lacks
    is -inf.
    """
    missing = max(0, num_tokens - logits.shape[1])
    return torch.nn.functional.pad(logits[:, :num_tokens].float(), (0, missing), value=-torch.inf)
