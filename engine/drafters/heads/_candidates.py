"""The likeliest tokens of drafted positions, with their log-probabilities. Knows scores; no tree, no model."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from engine.runtime.compiled import runs_compiled
from engine.runtime.crossings import download

Tokens = np.ndarray[Any, np.dtype[np.int64]]
LogProbs = np.ndarray[Any, np.dtype[np.float64]]
Candidates = tuple[Tokens, LogProbs]
"""Of each row the best tokens, best first, and their log-softmax, (rows, k) each."""


def likeliest(scores: Tensor, top_k: int) -> Candidates:
    """Of scores (rows, v) on any device; k is `top_k`, or v where that is less."""
    scores, top_k = scores.float(), min(top_k, scores.shape[1])
    if not runs_compiled(scores.device):
        best = scores.topk(top_k, dim=1)
        log_probs = best.values - scores.logsumexp(dim=1, keepdim=True)
        tokens, found = download(best.indices, log_probs)
        return tokens.long().numpy(), found.numpy()
    from engine.drafters.heads import _compiled

    return _compiled.likeliest(scores.contiguous().numpy(), top_k)
