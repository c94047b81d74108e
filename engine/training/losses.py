"""What is minimised and what is reported: losses and agreement over batches of token ids."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

NUM_HELDOUT_TOKENS = 48_000


def loss_of(model: LlamaForCausalLM, batch: Tensor) -> Tensor:
    """Mean next-token loss in nats, over (b, t + 1) ids; padding (`packing.IGNORED`) counts for nothing."""
    logits = model(input_ids=batch[:, :-1].clamp(min=0), use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())


def distillation_loss(model: LlamaForCausalLM, teacher: LlamaForCausalLM, batch: Tensor) -> Tensor:
    """Mean KL(teacher ‖ model) in nats a token: what raises acceptance (FastDraft, 2411.11055)."""
    ids, is_text = batch[:, :-1].clamp(min=0), batch[:, 1:] >= 0
    with torch.no_grad():
        wanted = teacher(input_ids=ids, use_cache=False).logits.float().log_softmax(dim=-1)
    given = model(input_ids=ids, use_cache=False).logits.float().log_softmax(dim=-1)
    divergence = torch.nn.functional.kl_div(given, wanted, reduction="none", log_target=True).sum(dim=-1)
    return divergence[is_text].mean()


@torch.no_grad()
def agreement(model: LlamaForCausalLM, teacher: LlamaForCausalLM, stream: Tensor, context: int = 512) -> float:
    """Share of held-out places where both models' likeliest tokens are the same."""
    num_rows = max(1, min(len(stream), NUM_HELDOUT_TOKENS) // context)
    rows = stream[: num_rows * context].view(num_rows, -1).long().to(model.device)
    found = [m(input_ids=rows, use_cache=False).logits.argmax(dim=-1) for m in (model, teacher)]
    return float((found[0] == found[1]).float().mean())


@torch.no_grad()
def heldout_loss(model: LlamaForCausalLM, stream: Tensor, context: int = 512) -> float:
    """Mean loss over the held-out stream in nats per token."""
    model.eval()
    num_rows = max(1, min(len(stream) - 1, NUM_HELDOUT_TOKENS) // context)
    context = min(context, len(stream) - 1)
    rows = torch.stack([stream[i * context : (i + 1) * context + 1] for i in range(num_rows)]).long()
    device = next(model.parameters()).device
    losses = [loss_of(model, chunk.to(device)).item() * len(chunk) for chunk in rows.split(8)]
    model.train()
    return sum(losses) / num_rows
