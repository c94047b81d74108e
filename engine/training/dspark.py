"""Training of DSpark: DFlash's blocks, whose slots are told the token before them, and how sure they can be.

arXiv 2607.05147 and DeepSpec's code: slot k's scores are the backbone's and what the token before adds, the text's own
in training. The loss of a slot is 0.1 of the cross-entropy with the text's token, 0.9 of the distance Σ|p - q| between
the target's law and the drafter's, and the confidence head's cross-entropy with what they share, Σ min(p, q); slots
count exp(-k ÷ γ) as DFlash's do.

Choices of ours: a trained DFlash to begin with (`--begin`), whose root foresees nothing, so that its slots stay what
they are; `--variant 1` trains the head alone and leaves that backbone as it is; the head's start (following.py).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.drafters.heads.dflash.form import Form
from engine.drafters.heads.dspark import head
from engine.training.block_heads import Headed, made, train_begun
from engine.training.heads import Soft
from engine.training.material import Material
from engine.training.packing import IGNORED
from engine.training.recipes import Recipe
from engine.training.runs import Order

TEXT, DISTANCE, CONFIDENCE = 0.1, 0.9, 1.0
"""What the parts of the loss count."""


class DSpark(Headed):
    """DFlash with a Markov head and its confidence."""

    added = ("markov_head", "confidence_head")
    own = ("embed_before", "lm_head_behind", "sure")

    def __init__(self, form: Form, embedding: Tensor, output: Tensor, target: PreTrainedModel | None = None) -> None:
        super().__init__(form, embedding, output, target)
        self.embed_before = nn.Embedding(form.vocab_size, self.rank)
        self.lm_head_behind = nn.Linear(self.rank, len(output), bias=False)
        nn.init.normal_(self.embed_before.weight, std=self.rank**-0.5)
        nn.init.zeros_(self.lm_head_behind.weight)
        self.sure = nn.Parameter(torch.zeros(form.hidden_size + self.rank))
        self.sure_bias = nn.Parameter(torch.zeros(1))

    def forward(self, ids: Tensor, hidden: Tensor, soft: Soft | None = None) -> Tensor:
        """Weighted sum of the slots' losses over (b, t + 1) ids, padding below zero, and (b, t, d) hidden states."""
        labels = self.labels(ids)
        places, ids = self.draw_anchors(labels[0] != IGNORED), ids.clamp(min=0)
        losses = []
        for slot, states in enumerate(self.states(ids, hidden, places)):
            before = self.embed_before(ids.gather(1, places + slot + 1))
            logits, label = self._law(states, before), labels[slot].gather(1, places)
            loss = self._loss(logits, self.expected(hidden, places + slot + 1), label, self.doubt(states, before))
            losses.append(self.head_weight(slot) * loss)
        return torch.stack(losses).sum()

    def law(self, states: Tensor, before: Tensor) -> Tensor:
        return self._law(states, self.embed_before(before))

    def _law(self, states: Tensor, before: Tensor) -> Tensor:
        """Logits (…, v) of a slot's states (…, d) behind a token that is embedded as (…, r)."""
        base = nn.functional.linear(states, self.output.to(states.dtype))
        found: Tensor = base + self.lm_head_behind(before.to(states.dtype))
        return found

    def doubt(self, states: Tensor, before: Tensor) -> Tensor:
        """The confidence's logits (…)."""
        given = torch.cat((states.float(), before.float()), dim=-1)
        return given @ self.sure + self.sure_bias

    def _loss(self, logits: Tensor, wanted: Tensor, label: Tensor, doubt: Tensor) -> Tensor:
        law, is_text = logits.float().softmax(dim=-1), label != IGNORED
        distance = (law - wanted.float()).abs().sum(dim=-1)
        own = law.gather(-1, label.clamp(min=0)[..., None])[..., 0].clamp(min=1e-9)
        sure = nn.functional.binary_cross_entropy_with_logits(
            doubt, (1 - distance / 2).detach().clamp(0, 1), reduction="none"
        )
        losses = DISTANCE * distance - TEXT * own.log() + CONFIDENCE * sure
        return (losses * is_text).sum() / is_text.sum().clamp(min=1)

    def begin_head(self, before: Tensor, behind: Tensor) -> None:
        self.embed_before.weight.copy_(before)
        self.lm_head_behind.weight.copy_(behind)

    def tensors(self) -> dict[str, Tensor]:
        """Weights by their published names."""
        own = dict(super().tensors())
        for name in ("embed_before.weight", "lm_head_behind.weight", "sure", "sure_bias"):
            own.pop(name)
        return own | {
            f"{head.W1}.weight": self.embed_before.weight.data,
            f"{head.W2}.weight": self.lm_head_behind.weight.data,
            f"{head.CONFIDENCE}.weight": self.sure.data[None],
            f"{head.CONFIDENCE}.bias": self.sure_bias.data,
        }

    def config(self) -> dict[str, Any]:
        """Sizes and flags."""
        own = {"method": "dspark", "markov_rank": self.rank, "markov_head_type": "vanilla"}
        return {**super().config(), "architectures": ["DSparkDraftModel"], **own, "confidence_head_with_markov": True}


def make(material: Material, recipe: Recipe) -> DSpark:
    """The network for a target."""
    return made(DSpark, material)


def train(order: Order) -> None:
    """What `train dspark` does."""
    train_begun(order, DSpark)
