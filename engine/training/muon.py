"""Muon: momentum orthogonalised by Newton–Schulz, for the hidden matrices of a network.

Keller Jordan, "Muon: an optimizer for hidden layers in neural networks" (2024); update scaled as
in Moonlight (arXiv 2502.16982), so that AdamW's learning rates carry over. Ours rather than
`torch.optim.Muon` because that one iterates in bfloat16 only, which a CPU without bf16 units runs
six times slower than float32, and one matrix at a time, where equal shapes can go as one batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from engine.runtime.device import has_fast_bf16

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NUM_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Steps 2-D parameters only; give embeddings, heads and norms to AdamW."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.05) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for param in group["params"]:
                if param.grad is not None:
                    by_shape[param.shape].append(param)
            for params in by_shape.values():
                self._step_batch(params, group)

    def _step_batch(self, params: list[Tensor], group: dict[str, Any]) -> None:
        nesterov = torch.stack([self._momentum(param, group["momentum"]) for param in params])
        updates = orthogonalise(nesterov)
        scale = 0.2 * max(params[0].shape) ** 0.5 * group["lr"]
        for param, update in zip(params, updates, strict=True):
            param.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-scale)

    def _momentum(self, param: Tensor, momentum: float) -> Tensor:
        assert param.grad is not None
        buffer = self.state[param].setdefault("momentum", torch.zeros_like(param))
        buffer.lerp_(param.grad, 1 - momentum)
        return param.grad.lerp(buffer, momentum)


def orthogonalise(matrices: Tensor) -> Tensor:
    """Nearest semi-orthogonal matrices, roughly (singular values 0.7 … 1.2). (b, m, n) → (b, m, n)."""
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if matrices.is_cuda or has_fast_bf16() else matrices.float()
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = (x.mT if is_tall else x).to(matrices.dtype)
    return result
