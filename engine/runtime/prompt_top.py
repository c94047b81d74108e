"""What the target finds likely behind each token of a prompt: gathered block by block, few candidates a token.

A prompt's logits (t, v) would be gigabytes; they are never held. Knows scores; knows nothing of who reads them.
"""

from __future__ import annotations

import torch
from torch import Tensor


class PromptTop:
    """The likeliest tokens behind each token of a prompt, gathered while it is read; all logits are never held."""

    def __init__(self, k: int, *, has_probs: bool) -> None:
        self._k, self._has_probs = k, has_probs
        self._found: list[tuple[Tensor, Tensor]] = []

    def add(self, logits: Tensor) -> None:
        """The logits (m, v) of the prompt's next tokens."""
        scores = logits.float()
        values, ids = scores.topk(min(self._k, scores.shape[1]), dim=1)
        if self._has_probs:
            values = (values - scores.logsumexp(dim=1, keepdim=True)).exp()
        self._found.append((ids.cpu(), values.cpu()))

    def ids(self, k: int) -> Tensor:
        """(t, k) of all that was read: tokens, the likeliest first."""
        return self._columns(0, k)

    def probs(self, k: int) -> Tensor:
        """(t, k) of all that was read: their probabilities at temperature 1."""
        return self._columns(1, k)

    def _columns(self, part: int, k: int) -> Tensor:
        return torch.cat([found[part][:, :k] for found in self._found]) if self._found else torch.empty(0, k)
