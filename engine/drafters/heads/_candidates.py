"""The likeliest tokens of drafted positions, with their log-probabilities. Knows scores; no tree, no model."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from engine.runtime.compiled import runs_compiled

Tokens = np.ndarray[Any, np.dtype[np.int64]]
LogProbs = np.ndarray[Any, np.dtype[np.float64]]


def likeliest(scores: Tensor, top_k: int) -> tuple[Tokens, LogProbs]:
    """Scores (k, v) → the best tokens of each row, best first, and their log-softmax: (k, top_k) each, or (k, v)."""
    scores, top_k = scores.float(), min(top_k, scores.shape[1])
    if not runs_compiled(scores.device):
        best = scores.topk(top_k, dim=1)
        log_probs = best.values - scores.logsumexp(dim=1, keepdim=True)
        return best.indices.cpu().numpy(), log_probs.double().cpu().numpy()
    from engine.runtime.cpu import softmax
    from engine.runtime.cpu.threads import compiled_threads

    tokens, found = np.empty((len(scores), top_k), np.int64), np.empty((len(scores), top_k))
    with compiled_threads():
        softmax.likeliest(scores.contiguous().numpy(), len(scores), scores.shape[1], tokens, found)
    return tokens, found
