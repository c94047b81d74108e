"""What is minimised and what is reported: losses and agreement over batches of token ids."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.training.packing import IGNORED

NUM_HELDOUT_TOKENS = 48_000


def loss_of(model: nn.Module, batch: Tensor) -> Tensor:
    """Mean next-token loss in nats, over (b, t + 1) ids; padding (`packing.IGNORED`) counts for nothing."""
    logits = model(input_ids=batch[:, :-1].clamp(min=0), use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())


def divergence(given: Tensor, wanted: Tensor, is_text: Tensor) -> Tensor:
    """Mean KL(wanted ‖ given) in nats over the places where `is_text (b, t)`; logits are (b, t, v)."""
    given_log, wanted_log = given.float().log_softmax(dim=-1), wanted.float().log_softmax(dim=-1)
    found = torch.nn.functional.kl_div(given_log, wanted_log, reduction="none", log_target=True).sum(dim=-1)
    return found[is_text].mean()


def soft_cross_entropy(logits: Tensor, probs: Tensor, labels: Tensor, text_weight: float) -> Tensor:
    """Mean cross-entropy in nats with a mixture: `text_weight` on the label, the rest on `probs`.

    `logits` and `probs` are (b, r, v), labels (b, r); places labelled IGNORED count for nothing. The part of
    `probs` is the divergence from it plus its entropy, which no training changes.
    """
    loss: Tensor = _SoftCrossEntropy.apply(logits, probs, labels, text_weight)  # type: ignore[no-untyped-call]
    return loss


class _SoftCrossEntropy(torch.autograd.Function):
    """The gradient is made with the loss, in the logits' dtype: a pass over (b, r, v) costs more than its sums."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, probs: Tensor, labels: Tensor, text_weight: float) -> Tensor:
        is_text, label = labels != IGNORED, labels.clamp(min=0)[..., None]
        share = is_text.float() / is_text.sum().clamp(min=1)
        given = logits.softmax(dim=-1)
        own = logits.gather(-1, label)[..., 0].float()
        log_own = given.gather(-1, label)[..., 0].float().clamp(min=1e-30).log()
        wanted = torch.einsum("brv,brv->br", logits, probs.to(logits.dtype)).float()
        soft = own - log_own - wanted
        gradient = given.sub_(probs, alpha=1 - text_weight)
        gradient.scatter_add_(-1, label, torch.full_like(label, -text_weight, dtype=gradient.dtype))
        ctx.save_for_backward(gradient.mul_(share[..., None].to(gradient.dtype)))
        return (((1 - text_weight) * soft - text_weight * log_own) * share).sum()

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * above.to(gradient.dtype), None, None, None


@torch.no_grad()
def agreement(model: PreTrainedModel, teacher: PreTrainedModel, stream: Tensor, context: int = 512) -> float:
    """Share of held-out places where both models' likeliest tokens are the same."""
    num_rows = max(1, min(len(stream), NUM_HELDOUT_TOKENS) // context)
    rows = stream[: num_rows * context].view(num_rows, -1).long().to(model.device)
    found = [m(input_ids=rows, use_cache=False).logits.argmax(dim=-1) for m in (model, teacher)]
    return float((found[0] == found[1]).float().mean())


@torch.no_grad()
def heldout_loss(model: PreTrainedModel, stream: Tensor, context: int = 512) -> float:
    """Mean loss over the held-out stream in nats per token."""
    num_rows = max(1, min(len(stream) - 1, NUM_HELDOUT_TOKENS) // context)
    context = min(context, len(stream) - 1)
    rows = torch.stack([stream[i * context : (i + 1) * context + 1] for i in range(num_rows)]).long()
    device = next(model.parameters()).device
    losses = [loss_of(model, chunk.to(device)).item() * len(chunk) for chunk in rows.split(8)]
    return sum(losses) / num_rows
