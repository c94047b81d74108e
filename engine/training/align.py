"""Alignment of a draft model with its target, on text the target wrote.

The draft model learns the target's whole distribution at every place (KL divergence target ‖ draft),
which is what acceptance measures: "FastDraft" (arXiv 2411.11055), "DistillSpec" (2310.08461) with forward KL.
The target's side comes from `activations`, turned into scores by its own output layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from engine.training import activations
from engine.training.losses import agreement, divergence, heldout_loss
from engine.training.pretrain import save_model
from engine.training.recipes import Progress, Recipe
from engine.training.trainer import Micro


class Alignment:
    """Distillation from stored hidden states; a `trainer.Job`."""

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        draft: LlamaForCausalLM,
        target: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        folder: Path,
        heldout: Tensor,
    ) -> None:
        self.name, self.recipe, self.model = name, recipe, draft
        self.module: nn.Module = draft
        self.target, self.tokenizer, self.folder, self.heldout = target, tokenizer, folder, heldout
        self.softcap: float | None = getattr(target.config, "final_logit_softcapping", None)

    def batches(self, progress: Progress) -> Iterator[list[Micro]]:
        """A shard a batch; the shards in another order each epoch."""
        while True:
            for place, (ids, hidden) in enumerate(activations.shards(self.folder, progress.epoch)):
                if place < progress.offset:
                    continue
                progress.offset += 1
                num_micro = max(1, self.recipe.micro_tokens // ids.shape[1])
                yield list(zip(ids.split(num_micro), hidden.split(num_micro), strict=True))
            progress.epoch, progress.offset = progress.epoch + 1, 0

    def loss(self, network: nn.Module, micro: Micro) -> Tensor:
        """Mean KL(target ‖ draft) in nats a token, padding left out."""
        ids, hidden = micro
        given = network(input_ids=ids[:, :-1].clamp(min=0), use_cache=False).logits
        return divergence(given, self._target_logits(hidden), ids[:, 1:] >= 0)

    @torch.no_grad()
    def _target_logits(self, hidden: Tensor) -> Tensor:
        head = self.target.get_output_embeddings()
        logits: Tensor = head(hidden.to(next(head.parameters()).dtype)).float()
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap

    def evaluate(self) -> dict[str, float]:
        """Held-out loss, and how often both models' likeliest tokens are the same."""
        return {
            "heldout_loss": heldout_loss(self.model, self.heldout),
            "agreement": agreement(self.model, self.target, self.heldout),
        }

    def save(self, folder: Path) -> None:
        """The draft model's folder."""
        save_model(self.model, self.tokenizer, folder, self.recipe.max_shard_mb)
