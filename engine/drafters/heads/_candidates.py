"""The likeliest tokens of drafted positions, with their log-probabilities. Knows scores; no tree, no model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.runtime.compiled import runs_compiled

Tokens = np.ndarray[Any, np.dtype[np.int64]]
Looks = np.ndarray[Any, np.dtype[np.bool_]]
"""Who looks at what, (rows, columns)."""
LogProbs = np.ndarray[Any, np.dtype[np.float64]]
Candidates = tuple[Tokens, LogProbs]
"""Of each row the best tokens, best first, and their log-softmax, (rows, k) each."""


def likeliest(scores: Tensor, top_k: int) -> Candidates:
    """Of scores (rows, v) on any device; k is `top_k`, or v where that is less."""
    scores, top_k = scores.float(), min(top_k, scores.shape[1])
    if not runs_compiled(scores.device):
        return read(ranked(scores, top_k))
    from engine.drafters.heads import _compiled

    return _compiled.likeliest(scores.contiguous().numpy(), top_k)


def ranked(scores: Tensor, top_k: int) -> Tensor:
    """The same on its device, (2, rows, k) float64, in which token ids are exact: for `read`."""
    scores = scores.float()
    best = scores.topk(min(top_k, scores.shape[1]), dim=1)
    return torch.stack((best.indices.double(), (best.values - scores.logsumexp(dim=1, keepdim=True)).double()))


def read(found: Tensor, num_rows: int | None = None) -> Candidates:
    """Of the first rows, or all, of what `ranked` gave; the device is waited for once."""
    tokens, log_probs = found.cpu()[:, :num_rows]
    return tokens.long().numpy(), log_probs.numpy()
