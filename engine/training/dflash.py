"""Training of DFlash: at anchors drawn anew each pass, a block of masks foresees what follows them.

Chen et al. (arXiv 2602.06036) and vLLM's `speculators`: a block is the anchor's token and masks behind it; its rows see
one another and the target's features before the anchor. Slot k's loss is the cross-entropy with the target's
distribution and counts exp(-(k - 1) ÷ γ), since a slot matters where those before it are right.

Choices of ours: states of layers 2, L ÷ 2 and the last; the mask's own embedding, since a target need have no token
to spare; a part of the text's own token in the loss; the start by least squares (block_start.py); the trainer's
schedule and Muon.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.drafters.heads.dflash.form import Form
from engine.training import block_start
from engine.training.block_layers import Blocks, Layer
from engine.training.decoder_layer import RMSNorm
from engine.training.head_training import train_heads
from engine.training.heads import Soft
from engine.training.losses import soft_cross_entropy
from engine.training.material import Material
from engine.training.packing import IGNORED
from engine.training.recipes import Recipe
from engine.training.runs import Order
from engine.training.steps import Borrowing
from engine.training.taps import documents, tapped

BLOCK_SIZE = 8
NUM_LAYERS = 2
GAMMA = 4.0
"""A slot counts exp(-1 ÷ γ) of the one before it."""
ANCHOR_SHARE = 0.25
"""Anchors, of a row's places."""
TEXT_WEIGHT = 0.2
"""Weight of the text's own token beside the target's distribution."""
CERTAINTY = 0.5
"""Of the target's own, in the size of the first logits: what is foreseen linearly is right in less than half."""
THETA = 10_000.0


class DFlash(Borrowing):
    """Layers over the features of a frozen target, with its embedding and output layer."""

    has_static_tree = False

    def __init__(self, form: Form, embedding: Tensor, output: Tensor, target: PreTrainedModel | None = None) -> None:
        """`target` gives the states that the form names; of the last alone none is needed."""
        super().__init__(embedding, output)
        self.form, self.num_heads, self.taps = form, form.num_slots, form.hidden_layers
        size = form.hidden_size
        self.fc = nn.Linear(len(form.hidden_layers) * form.target_hidden_size, size, bias=False)
        self.hidden_norm = RMSNorm(size, form.rms_norm_eps)
        self.layers = nn.ModuleList(self.layer(form) for _ in range(form.num_hidden_layers))
        self.norm = RMSNorm(size, form.rms_norm_eps)
        self.mask_embedding = nn.Parameter(float(embedding.float().std()) * torch.randn(size))
        # In a tuple: a frozen target is not the module's to save or to train.
        self._target = (target,)

    def layer(self, form: Form) -> Layer:
        """One of its layers, untrained."""
        return Layer(form, THETA)

    def head_weight(self, head: int) -> float:
        """Of slot `head + 1`."""
        return math.exp(-head / GAMMA)

    def forward(self, ids: Tensor, hidden: Tensor, soft: Soft | None = None) -> Tensor:
        """Weighted sum of the slots' losses over (b, t + 1) ids, padding below zero, and states as in `foreseen`."""
        labels = self.labels(ids)
        places = self.draw_anchors(labels[0] != IGNORED)
        losses = []
        for slot, logits in enumerate(self.foreseen(ids.clamp(min=0), hidden, places)):
            wanted = self.expected(hidden, places + slot + 1)
            loss = soft_cross_entropy(logits, wanted, labels[slot].gather(1, places), TEXT_WEIGHT)
            losses.append(self.head_weight(slot) * loss)
        return torch.stack(losses).sum()

    def scores(self, ids: Tensor, hidden: Tensor) -> Iterator[Tensor]:
        """Logits (b, t - num_heads, v) of one slot after another, a block at every place."""
        places = torch.arange(hidden.shape[1] - self.num_heads, device=ids.device).expand(len(ids), -1)
        return self.foreseen(ids, hidden, places)

    def config(self) -> dict[str, Any]:
        """Sizes and flags."""
        return {"architectures": ["DFlashDraftModel"], **self.form.config()}

    def draw_anchors(self, is_asked: Tensor) -> Tensor:
        """Places (b, a) of those that are asked, as many in each row; where there are fewer, some that are not."""
        drawn = torch.rand(is_asked.shape, generator=self.next_generator()).to(is_asked.device) - is_asked.float()
        most = max(1, int(is_asked.sum(dim=1).max()))
        return drawn.argsort(dim=1)[:, : min(most, max(1, round(ANCHOR_SHARE * is_asked.shape[1])))]

    def foreseen(self, ids: Tensor, hidden: Tensor, places: Tensor) -> Iterator[Tensor]:
        """Logits (b, a, v) of the slots of blocks whose root is the token behind each of `places (b, a)`.

        `hidden`: the last states, (b, t, d), or those of all layers that the form names, (b, t, n · d).
        """
        for states in self.states(ids, hidden, places):
            yield nn.functional.linear(states, self.output.to(states.dtype))

    def states(self, ids: Tensor, hidden: Tensor, places: Tensor) -> tuple[Tensor, ...]:
        """What the output layer reads of each slot, (b, a, d)."""
        texts = documents(self.last(hidden))
        features = self.features(ids, hidden, texts)
        blocks = Blocks(places + 1, self.form.block_size, texts)
        root = nn.functional.embedding(ids.gather(1, blocks.anchors), self.embedding)
        masks = self.mask_embedding.to(root.dtype).expand(*places.shape, blocks.size - 1, -1)
        x = torch.cat((root[:, :, None], masks), dim=2).flatten(1, 2).to(features.dtype)
        for layer in self.layers:
            x = layer(x, features, blocks)
        found: tuple[Tensor, ...] = self.norm(x).unflatten(1, (-1, blocks.size)).unbind(dim=2)[1:]
        return found

    def features(self, ids: Tensor, hidden: Tensor, texts: Tensor) -> Tensor:
        """What blocks see of packed texts, (b, t, d)."""
        states = tapped(self._target[0], self.form.hidden_layers, ids, hidden, texts)
        found: Tensor = self.hidden_norm(self.fc(states.to(self.fc.weight.dtype)))
        return found

    @torch.no_grad()
    def fit(self, ids: Tensor, hidden: Tensor) -> None:
        """A start by least squares, layer by layer: features are the last states, heads look so many places back."""
        hidden, texts, size = hidden.float(), documents(hidden), self.form.hidden_size
        self.fc.weight.zero_()[:, -size:].fill_diagonal_(1)
        self.norm.weight.copy_(hidden[ids[:, 1:] >= 0].square().mean(dim=0).sqrt())
        features = self.hidden_norm(hidden)
        num_back = self.form.num_attention_heads
        row, place, before, wanted = block_start.sample(features, hidden, texts, num_back, self.form.block_size, 0)
        root = nn.functional.embedding(ids[row, place + 1], self.embedding).float()
        rows = torch.cat((root[:, None], self.mask_embedding.expand(len(root), self.form.block_size - 1, -1)), dim=1)
        weights = torch.tensor([self.head_weight(slot) for slot in range(self.num_heads)], device=rows.device)
        blocks = block_start.Sample(before, rows, wanted / self.norm.weight, weights)
        for layer in self.layers:
            blocks = block_start.begin(cast(Layer, layer), blocks)
        self.norm.weight.mul_(CERTAINTY)


def form_of(material: Material) -> Form:
    """Layers as wide as the target's, with a smaller MLP."""
    config = material.target.config.get_text_config()
    size, num_heads = material.hidden_size, int(config.num_attention_heads)
    if size % (2 * num_heads):
        num_heads = 1
    num_layers = int(config.num_hidden_layers)
    return Form(
        block_size=BLOCK_SIZE,
        hidden_size=size,
        target_hidden_size=size,
        vocab_size=material.vocab_size,
        num_hidden_layers=NUM_LAYERS,
        num_attention_heads=num_heads,
        num_key_value_heads=num_heads,
        head_dim=size // num_heads,
        intermediate_size=4 * size // 3,
        hidden_layers=tuple(sorted({min(2, num_layers - 1), num_layers // 2, num_layers})),
        rope={"rope_type": "default", "rope_theta": THETA},
    )


def make(material: Material, recipe: Recipe) -> DFlash:
    """The network for a target."""
    embedding = cast(nn.Embedding, material.target.get_input_embeddings()).weight
    return DFlash(form_of(material), embedding, material.output_table.to(embedding.dtype), material.target)


def make_fitted(material: Material, recipe: Recipe) -> DFlash:
    """The network with its start fitted to the first of the text that the target wrote."""
    dflash = make(material, recipe).to(material.target.device)
    dflash.fit(*material.sample(recipe.seed))
    return dflash


def train(order: Order) -> None:
    """What `train dflash` does."""
    train_heads(order, "dflash", make_fitted)
