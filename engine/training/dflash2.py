"""Training of DFlash 2: DFlash's blocks with convolutions in their layers, and a selector among likely tokens.

z-lab's DFlash 2 and vLLM's `speculators`: the backbone's loss is DFlash's; beside it the selector learns, behind the
text's own token before, what stands in each slot among its K likeliest tokens, the last of which gives way to the
text's where that is not among them. Slots count as DFlash's do. Convolutions begin as if they were not there.

Choices of ours: a trained DFlash to begin with (`--begin`); the selector's label is the target's law among the
candidates, a part of it the text's token, as in the backbone's loss; the selector's start (following.py), where the
state's part in it is about 1 of whatever stands there; `--variant 1` trains the selector alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.drafters.heads.dflash.form import Form
from engine.drafters.heads.dflash2 import network
from engine.training.block_heads import Headed, made, train_begun
from engine.training.convolved_layer import ConvolvedLayer
from engine.training.dflash import TEXT_WEIGHT, THETA
from engine.training.heads import Soft, least_squares
from engine.training.losses import soft_cross_entropy
from engine.training.material import Material
from engine.training.packing import IGNORED
from engine.training.recipes import Recipe
from engine.training.runs import Order

TOP_K = 16
TAPS, MOST_GROUP = 2, 16


class DFlash2(Headed):
    """DFlash with convolutions and a selector."""

    added = (network.SELECTOR, "_conv.")
    own = ("embed_", "projection")

    def __init__(self, form: Form, embedding: Tensor, output: Tensor, target: PreTrainedModel | None = None) -> None:
        super().__init__(form, embedding, output, target)
        self.embed_before = nn.Parameter(torch.randn(form.vocab_size, self.rank) * self.rank**-0.5)
        self.embed_behind = nn.Parameter(torch.zeros(form.vocab_size, self.rank))
        self.projection = nn.Linear(form.hidden_size, self.rank, bias=False)

    def layer(self, form: Form) -> ConvolvedLayer:
        return ConvolvedLayer(form, THETA, TAPS, group_of(form))

    def forward(self, ids: Tensor, hidden: Tensor, soft: Soft | None = None) -> Tensor:
        """Weighted sum of the slots' losses over (b, t + 1) ids, padding below zero, and (b, t, d) hidden states."""
        labels = self.labels(ids)
        places, ids = self.draw_anchors(labels[0] != IGNORED), ids.clamp(min=0)
        losses = []
        for slot, states in enumerate(self.states(ids, hidden, places)):
            unary, label = nn.functional.linear(states, self.output.to(states.dtype)), labels[slot].gather(1, places)
            wanted, before = self.expected(hidden, places + slot + 1), ids.gather(1, places + slot + 1)
            loss = soft_cross_entropy(unary, wanted, label, TEXT_WEIGHT)
            loss = loss + self._selected(unary, states, before, wanted, label)
            losses.append(self.head_weight(slot) * loss)
        return torch.stack(losses).sum()

    def law(self, states: Tensor, before: Tensor) -> Tensor:
        unary = nn.functional.linear(states, self.output.to(states.dtype))
        best = unary.topk(min(TOP_K, unary.shape[-1]), dim=-1).indices
        return torch.full_like(unary, -torch.inf).scatter(-1, best, self.edges(unary, states, before, best))

    def edges(self, unary: Tensor, states: Tensor, before: Tensor, candidates: Tensor) -> Tensor:
        """Scores (b, a, k) of some tokens, places among those scored, behind tokens (b, a)."""
        given = self.embed_before[before] * self.projection(states).float()
        added = torch.einsum("bar,bakr->bak", given, self.embed_behind[self._tokens(candidates)])
        return unary.gather(-1, candidates) + added.to(unary.dtype)

    def _tokens(self, places: Tensor) -> Tensor:
        """The target's tokens at places among those that are scored."""
        if self.places is None:
            return places
        scored = (self.places >= 0).cpu().nonzero()[:, 0].to(places.device)
        tokens = torch.empty_like(scored).index_copy_(0, self.places.to(places.device)[scored], scored)
        return tokens[places]

    def _selected(self, unary: Tensor, states: Tensor, before: Tensor, wanted: Tensor, label: Tensor) -> Tensor:
        """The selector's cross-entropy with the target's law among the candidates, mean over places with a label."""
        is_text, own = label != IGNORED, label.clamp(min=0)[..., None]
        best = unary.detach().topk(min(TOP_K, unary.shape[-1]), dim=-1).indices
        is_missing = (best != own).all(dim=-1)
        best[..., -1] = torch.where(is_missing, own[..., 0], best[..., -1])
        law = wanted.gather(-1, best).float()
        law = (1 - TEXT_WEIGHT) * law / law.sum(dim=-1, keepdim=True).clamp(min=1e-9) + TEXT_WEIGHT * (best == own)
        found = self.edges(unary, states, before, best).float().log_softmax(dim=-1)
        losses = -(law * found).sum(dim=-1)
        return (losses * is_text).sum() / is_text.sum().clamp(min=1)

    def begin_head(self, before: Tensor, behind: Tensor) -> None:
        self.embed_before.copy_(before)
        self.embed_behind.zero_()[self._tokens(torch.arange(len(behind), device=behind.device))] = behind

    @torch.no_grad()
    def fit_head(self, ids: Tensor, hidden: Tensor) -> None:
        super().fit_head(ids, hidden)
        some, states = ids[:2].clamp(min=0), hidden[:2].float()
        places = torch.arange(states.shape[1] - self.num_heads, device=ids.device).expand(len(some), -1)
        found = torch.cat([part.flatten(0, 1) for part in self.states(some, states, places)]).float()
        self.projection.weight.copy_(
            least_squares(found, found.new_ones(len(found), 1), ridge=0.01).expand(self.rank, -1)
        )

    def tensors(self) -> dict[str, Tensor]:
        """Weights by their published names."""
        names = {
            "embed_before": network.BEFORE,
            "embed_behind": network.BEHIND,
            "projection.weight": network.PROJECTION,
        }
        return {names.get(name, name): tensor for name, tensor in super().tensors().items()}

    def config(self) -> dict[str, Any]:
        """Sizes and flags."""
        own = {"method": "dflash2", "selector_rank": self.rank, "selector_top_k": TOP_K}
        own |= {"conv_kernel_size": TAPS, "conv_group_size": group_of(self.form)}
        return {**super().config(), "architectures": ["DFlash2DraftModel"], **own}


def group_of(form: Form) -> int:
    """Channels that share a kernel's part."""
    return next(size for size in range(min(MOST_GROUP, form.hidden_size), 0, -1) if not form.hidden_size % size)


def make(material: Material, recipe: Recipe) -> DFlash2:
    """The network for a target."""
    return made(DFlash2, material)


def train(order: Order) -> None:
    """What `train dflash2` does."""
    train_begun(order, DFlash2)
