"""Training of EAGLE: every draft step at many places at once, later steps on the drafter's own outputs.

EAGLE-3 (Li et al., arXiv 2503.01840) by training-time test: step 1 reads the target's fused states, step k what step
k - 1 gave at the same place, and sees the shared columns of step 1 and its own earlier ones. Its loss is cross-entropy
with the target's distribution, 0.8 to the power of the step. EAGLE-1 (2401.15077), whose weights EAGLE-2 drafts with,
is `--variant 1`: it reads the last state, and its loss is the distance from the target's next state, and a tenth of
the cross-entropy.

Choices of ours: states of layers 2, L ÷ 2 and the last, where the paper's third is L - 3, each normed by itself before
they are fused, as EAGLE-3.1 does (a model's first place can have states a hundred times as large as others); the start
by least squares; the target's own output layer, of the tokens that its answers hold, in place of one of the drafter's;
the trainer's schedule and Muon; later steps for EAGLE-1 too, where the paper has noise on the states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.drafters.heads.eagle.form import Form
from engine.errors import BadInput
from engine.training.decoder_layer import RMSNorm
from engine.training.eagle_layer import Layer
from engine.training.head_training import train_heads
from engine.training.heads import Soft, least_squares
from engine.training.losses import soft_cross_entropy
from engine.training.material import Material
from engine.training.packing import IGNORED
from engine.training.recipes import Recipe
from engine.training.runs import Order
from engine.training.steps import Column, Stepped, at, attend, distance
from engine.training.taps import documents, tapped

NUM_STEPS = 4
DECAY = 0.8
"""What a step's loss counts of the one before."""
TEXT_WEIGHT = 0.2
"""Weight of the text's own token beside the target's distribution."""
STATE_WEIGHT, EAGLE_1_WEIGHT = 1.0, 0.1
"""Of EAGLE-1's loss: the distance between states, and the cross-entropy."""
TOP_K = 4
RIDGE = 0.1
"""Of the start, which is fitted to few places: more than what is usual foresees more (decision 0052)."""
THETA = 10_000.0


@dataclass(frozen=True)
class Step:
    """Draft step k, from 1, at r places."""

    places: Tensor
    """(b, r): p."""
    states: Tensor
    """(b, r, d): what stands in for the target's state of place p + k."""
    logits: Tensor
    """(b, r, v): scores of token p + k + 1."""


class Eagle(Stepped):
    """One layer over a frozen target's states, embedding and output layer."""

    num_heads = NUM_STEPS
    has_static_tree = False

    def __init__(self, form: Form, embedding: Tensor, output: Tensor, target: PreTrainedModel | None = None) -> None:
        """`target` gives the states that the form names; of the last alone none is needed."""
        super().__init__(embedding, output)
        self.form, self.is_fused = form, form.version == 3
        width = len(form.hidden_layers) * form.target_hidden_size if self.is_fused else 2 * form.hidden_size
        self.fc = nn.Linear(width, form.hidden_size, bias=form.fc_bias)
        num_normed = len(form.hidden_layers) if form.fc_norm else 0
        self.fc_norm = nn.ModuleList(RMSNorm(form.target_hidden_size, form.rms_norm_eps) for _ in range(num_normed))
        self.layers = nn.ModuleList([Layer(form, THETA)])
        self.norm = RMSNorm(form.hidden_size, form.rms_norm_eps) if self.is_fused else nn.Identity()
        self.taps = form.hidden_layers
        # In a tuple: a frozen target is not the module's to save or to train.
        self._target = (target,)

    @property
    def layer(self) -> Layer:
        """The one there is."""
        return cast(Layer, self.layers[0])

    def forward(self, ids: Tensor, hidden: Tensor, soft: Soft | None = None) -> Tensor:
        """Sum of the steps' losses over (b, t + 1) ids, padding below zero, and states as `steps` has them."""
        labels = self.labels(ids)
        places, later = self.draw_places(labels[0] != IGNORED)
        losses = []
        for number, step in enumerate(self.steps(ids.clamp(min=0), hidden, places, later)):
            label = labels[number].gather(1, step.places)
            after = step.places + number + 1
            loss = soft_cross_entropy(step.logits, self.expected(hidden, after), label, TEXT_WEIGHT)
            if not self.is_fused:
                loss = EAGLE_1_WEIGHT * loss
                loss = loss + STATE_WEIGHT * distance(step.states, at(self.last(hidden), after), label != IGNORED)
            losses.append(DECAY**number * loss)
        return torch.stack(losses).sum()

    def config(self) -> dict[str, Any]:
        """Sizes and flags."""
        return {"architectures": ["Eagle"], **self.form.config()}

    def fused(self, ids: Tensor, hidden: Tensor, texts: Tensor) -> Tensor:
        """What rows of packed texts read of the target, (b, t, d)."""
        if not self.is_fused:
            return hidden
        states = tapped(self._target[0], self.form.hidden_layers, ids, hidden, texts).to(self.fc.weight.dtype)
        if self.form.fc_norm:
            parts = states.split(self.form.target_hidden_size, dim=-1)
            states = torch.cat([norm(part) for norm, part in zip(self.fc_norm, parts, strict=True)], dim=-1)
        found: Tensor = self.fc(states)
        return found

    def joined(self, states: Tensor, embedded: Tensor) -> Tensor:
        """EAGLE-1's layer reads embedding and state through one matrix; EAGLE-3's reads the state as it is."""
        if self.is_fused:
            return states
        found: Tensor = self.fc(torch.cat((embedded, states.to(embedded.dtype)), dim=-1))
        return found

    def steps(self, ids: Tensor, hidden: Tensor, places: Tensor, later: Tensor) -> Iterator[Step]:
        """`hidden`: the last states, (b, t, d), or those of all layers that the form names, (b, t, n · d)."""
        num_places, layer, texts = hidden.shape[1] - self.num_heads, self.layer, documents(self.last(hidden))
        every = torch.arange(num_places, device=ids.device).expand(len(ids), -1)
        embedded = self._embedded(ids[:, 1 : num_places + 1])
        states = self.joined(self.fused(ids, hidden, texts)[:, :num_places], embedded)
        given = layer.given(embedded, states)
        shared = layer.key_value(given, every)
        attended = attend(layer.query(at(given, places), places), *shared, sees(places, texts[:, :num_places]))
        states = layer.finish(at(states, places), attended)
        yield Step(places, states, self._logits(states))
        places, states = places.gather(1, later), at(states, later)
        yield from self._later(ids, places, states, shared, sees(places, texts[:, :num_places]))

    def _later(self, ids: Tensor, places: Tensor, states: Tensor, shared: Column, seen: Tensor) -> Iterator[Step]:
        """Steps 2 and on, each fed with what the one before gave and the text's own token."""
        layer = self.layer
        own: list[Column] = []
        for number in range(1, self.num_heads):
            positions, embedded = places + number, self._embedded(ids.gather(1, places + number + 1))
            states = self.joined(self._handed_on(states), embedded)
            given = layer.given(embedded, states)
            own.append(layer.key_value(given, positions))
            states = layer.finish(states, attend(layer.query(given, positions), *shared, seen, own))
            yield Step(places, states, self._logits(states))

    @torch.no_grad()
    def fit(self, ids: Tensor, hidden: Tensor) -> None:
        """A start by least squares: what the layer reads says, linearly, how the target's state goes on.

        Steps of gradient descent are dear, and this is worth hundreds of them.
        """
        hidden, texts = self.last(hidden).float(), documents(hidden)
        is_text = (texts[:, 1:] == texts[:, :-1]) & (hidden[:, 1:] != 0).any(dim=-1)
        embedded = self._embedded(ids[:, 1:-1].clamp(min=0)).float()
        before, after = hidden[:, :-1][is_text], hidden[:, 1:][is_text]
        if not self.is_fused:
            one = torch.ones(len(before), 1, device=before.device)
            found = least_squares(torch.cat((embedded[is_text], before, one), dim=-1), after)
            self.layer.self_attn.o_proj.weight.zero_()
            self.fc.weight.copy_(found[:, :-1])
            if self.form.fc_bias:
                self.fc.bias.copy_(found[:, -1])
            return
        size = self.form.hidden_size
        length = after.square().mean(dim=-1, keepdim=True).sqrt().mean()
        if self.form.fc_norm:
            before = length * nn.functional.rms_norm(before, before.shape[-1:])
        self.fc.weight.zero_()[:, -size:].fill_diagonal_(float(length) if self.form.fc_norm else 1)
        self.layer.begin_with(least_squares(self.layer.given(embedded[is_text], before), after - before, RIDGE))
        cast(RMSNorm, self.norm).weight.fill_(float(length))

    def _handed_on(self, states: Tensor) -> Tensor:
        """What a step gives the next."""
        return cast(Tensor, self.norm(states)) if self.form.norm_output else states

    def _embedded(self, ids: Tensor) -> Tensor:
        return nn.functional.embedding(ids, self.embedding).to(self.fc.weight.dtype)

    def _logits(self, states: Tensor) -> Tensor:
        states = self.norm(states)
        return nn.functional.linear(states, self.output.to(states.dtype))


def sees(places: Tensor, texts: Tensor) -> Tensor:
    """(b, r) places → (b, 1, r, p): a place sees those of its own text, `texts (b, p)`, up to its own."""
    is_before = torch.arange(texts.shape[1], device=places.device) <= places[..., None]
    return (is_before & (texts[:, None] == texts.gather(1, places)[..., None]))[:, None]


def form_of(material: Material, version: int) -> Form:
    """The layer as wide as one of the target's own."""
    config = material.target.config.get_text_config()
    size, num_heads = material.hidden_size, int(config.num_attention_heads)
    num_keys = int(getattr(config, "num_key_value_heads", None) or num_heads)
    if size % (2 * num_heads):
        num_heads = num_keys = 1
    num_layers = int(config.num_hidden_layers)
    taps = sorted({min(2, num_layers - 1), num_layers // 2, num_layers}) if version == 3 else [num_layers]
    return Form(
        version=version,
        hidden_size=size,
        target_hidden_size=size,
        vocab_size=material.vocab_size,
        num_attention_heads=num_heads,
        num_key_value_heads=num_keys,
        head_dim=size // num_heads,
        intermediate_size=int(getattr(config, "intermediate_size", None) or 4 * size),
        hidden_layers=tuple(taps),
        fc_bias=version == 1,
        fc_norm=version == 3,
        top_k=TOP_K,
        rope={"rope_type": "default", "rope_theta": THETA},
    )


def make(material: Material, recipe: Recipe, version: int = 3) -> Eagle:
    """The network for a target. Raises BadInput."""
    if version not in (1, 3):
        raise BadInput(f"--variant is {version}; of EAGLE 1 (EAGLE-1 and -2) and 3 are trained.")
    embedding = cast(nn.Embedding, material.target.get_input_embeddings()).weight
    output = material.output_table.to(embedding.dtype)
    return Eagle(form_of(material, version), embedding, output, material.target)


def make_fitted(material: Material, recipe: Recipe, version: int = 3) -> Eagle:
    """The network with its start fitted to the first of the text that the target wrote."""
    eagle = make(material, recipe, version).to(material.target.device)
    eagle.fit(*material.sample(recipe.seed))
    return eagle


def train(order: Order) -> None:
    """What `train eagle` does."""
    train_heads(order, "eagle", partial(make_fitted, version=order.variant or 3))
