"""Training of Chimera: every draft step at many places at once, learnt from text and from the target.

Zeng et al. (arXiv 2402.15758) and the released code: step k's head reads [h ; c], where h is the target's last
hidden state at place p and c what the full-context encoder made of the drafted tokens, and scores token
p + 1 + k. A later step sees its own place's earlier c (the released code's mask hides them by mistake) and is fed
the text's own token, since a node of a tree matters only where those above it are right (the released code feeds
the likeliest token of the step before). The loss is cross-entropy with the text, divergence from the target's
distribution at every head, and the distance of the first c from the hidden state that it stands in for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from engine.drafters.heads.chimera.network import ChimeraShape
from engine.training.chimera_encoders import TrigramEncoder
from engine.training.decoder_layer import DecoderLayer, sizes_like
from engine.training.head_training import train_heads
from engine.training.heads import Soft, least_squares
from engine.training.losses import soft_cross_entropy
from engine.training.material import Material
from engine.training.packing import IGNORED
from engine.training.recipes import Recipe
from engine.training.runs import Order
from engine.training.steps import Column, Stepped, at, attend, distance

NUM_HEADS = 4
TEXT_WEIGHT = 0.2
"""Weight of the text's own token beside the target's distribution."""
HIDDEN_WEIGHT = 1.0


@dataclass(frozen=True)
class Step:
    """Draft step k, from 1, at r places."""

    places: Tensor
    """(b, r): p."""
    encoded: Tensor
    """(b, r, d): c, which stands in for the hidden state of place p + k."""
    logits: Tensor
    """(b, r, v): scores of token p + k + 1."""


class Chimera(Stepped):
    """Trigram encoder, full-context encoder and heads, over a frozen target's embedding and output layer."""

    def __init__(self, shape: ChimeraShape, embedding: Tensor, output: Tensor) -> None:
        """`embedding` and `output` are the target's own, (v, d); neither is trained or kept."""
        super().__init__(embedding, output)
        self.shape, self.num_heads = shape, shape.num_heads
        self.trigram = TrigramEncoder(shape.hidden_size)
        self.encoder = DecoderLayer(shape)
        size = shape.hidden_size
        self.heads = nn.ModuleList(nn.Linear(2 * size, size, bias=False) for _ in range(shape.num_heads))
        for head in self.heads.parameters():
            head.data = 0.5 * torch.eye(size).repeat(1, 2)

    def forward(self, ids: Tensor, hidden: Tensor, soft: Soft | None = None) -> Tensor:
        """Sum of the steps' losses over (b, t + 1) ids, padding below zero, and (b, t, d) hidden states."""
        labels = self.labels(ids)
        places, later = self.draw_places(labels[0] != IGNORED)
        losses = []
        for number, step in enumerate(self.steps(ids.clamp(min=0), hidden, places, later)):
            label = labels[number].gather(1, step.places)
            probs = self.expected(hidden, step.places + number + 1)
            losses.append(soft_cross_entropy(step.logits, probs, label, TEXT_WEIGHT))
            if number == 0:
                losses.append(HIDDEN_WEIGHT * distance(step.encoded, at(hidden, step.places + 1), label != IGNORED))
        return torch.stack(losses).sum()

    def config(self) -> dict[str, Any]:
        """Sizes."""
        return {"architectures": ["Chimera"], "model_type": "chimera", **asdict(self.shape)}

    def steps(self, ids: Tensor, hidden: Tensor, places: Tensor, later: Tensor) -> Iterator[Step]:
        """Every draft step: the first at `places (b, r)`, the others at those of them that `later (b, s)` counts out.

        `ids (b, t + 1)`, `hidden (b, t, d)`, places below t - num_heads. Step k is fed the text's token p + k.
        """
        num_places = hidden.shape[1] - self.num_heads
        known, every = hidden[:, :num_places], torch.arange(num_places, device=ids.device).expand(len(ids), -1)
        grams = self._grams(trigrams(ids)[:, 1 : num_places + 1], hidden.dtype)
        shared = self.encoder.key_value(torch.cat((known, grams), dim=1), torch.cat((every, every + 1), dim=1))
        grams, known, sees = at(grams, places), at(known, places), _sees(places, num_places)
        encoded = self.encoder.finish(grams, attend(self.encoder.query(grams, places + 1), *shared, sees))
        yield Step(places, encoded, self._logits(0, known, encoded))
        yield from self._later(ids, places.gather(1, later), at(known, later), at(encoded, later), shared)

    def _later(self, ids: Tensor, places: Tensor, known: Tensor, encoded: Tensor, shared: Column) -> Iterator[Step]:
        """Steps 2 and on: a place sees the shared context and its own earlier steps.

        As in the released code they learn with what earlier steps gave held fixed.
        """
        sees = _sees(places, shared[0].shape[2] // 2)
        triple = torch.stack((ids.gather(1, places), ids.gather(1, places + 1)), dim=-1)
        own: list[Column] = []
        for number in range(2, self.num_heads + 1):
            triple = torch.cat((triple[..., -2:], ids.gather(1, places + number)[..., None]), dim=-1)
            grams = self._grams(triple, known.dtype).detach()
            own.append(self.encoder.key_value(encoded.detach(), places + number - 1))
            own.append(self.encoder.key_value(grams, places + number))
            query = self.encoder.query(grams, places + number)
            encoded = self.encoder.finish(grams, attend(query, *shared, sees, own))
            yield Step(places, encoded, self._logits(number - 1, known, encoded))

    @torch.no_grad()
    def fit(self, ids: Tensor, hidden: Tensor) -> None:
        """A start by least squares: what three embeddings and h say, linearly, of the hidden state to come.

        The trigram encoder's last matrix and the heads are solved for in turn; the encoders' other parts add
        nothing at first. Steps of gradient descent are dear, and this is worth hundreds of them.
        """
        num_places, size = hidden.shape[1] - self.num_heads, self.shape.hidden_size
        hidden = hidden.float()
        known, is_text = hidden[:, :num_places], ids[:, self.num_heads : self.num_heads + num_places] >= 0
        embedded = nn.functional.embedding(trigrams(ids.clamp(min=0)), self.embedding).flatten(-2).float()
        for number, head in enumerate(cast(list[nn.Linear], list(self.heads)), start=1):
            seen, wanted = embedded[:, number : number + num_places], hidden[:, number : number + num_places]
            if number == 1:
                found = least_squares(torch.cat((seen, known), dim=-1)[is_text], wanted[is_text])
                self.trigram.down.weight.copy_(found[:, :-size])
                head.weight.copy_(torch.cat((found[:, -size:], torch.eye(size, device=found.device)), dim=1))
            else:
                grams = seen @ self.trigram.down.weight.T
                head.weight.copy_(least_squares(torch.cat((known, grams), dim=-1)[is_text], wanted[is_text]))

    def _grams(self, triples: Tensor, dtype: torch.dtype) -> Tensor:
        embedded = nn.functional.embedding(triples, self.embedding)
        grams: Tensor = self.trigram(embedded.flatten(-2).to(dtype))
        return grams

    def _logits(self, head: int, hidden: Tensor, encoded: Tensor) -> Tensor:
        projected = self.heads[head](torch.cat((hidden, encoded.to(hidden.dtype)), dim=-1))
        return nn.functional.linear(projected, self.output.to(projected.dtype))


def trigrams(ids: Tensor) -> Tensor:
    """(b, t) ids → (b, t, 3): each behind the two before it; the first two are (a, a, a) and (a, b, b)."""
    one, two = ids.roll(1, dims=1), ids.roll(2, dims=1)
    one[:, :2] = ids[:, :2]
    two[:, :2] = ids[:, :1]
    return torch.stack((two, one, ids), dim=-1)


def make(material: Material, recipe: Recipe) -> Chimera:
    """The network for a target: the encoder as wide as one of the target's own layers."""
    sizes = sizes_like(material.target.config.get_text_config())
    shape = ChimeraShape(**sizes, vocab_size=material.vocab_size, num_heads=NUM_HEADS)
    embedding = cast(nn.Embedding, material.target.get_input_embeddings()).weight
    return Chimera(shape, embedding, material.output_table.to(embedding.dtype))


def make_fitted(material: Material, recipe: Recipe) -> Chimera:
    """The network with its start fitted to the first of the text that the target wrote."""
    heads = make(material, recipe).to(material.target.device)
    heads.fit(*material.sample(recipe.seed))
    return heads


def train(order: Order) -> None:
    """What `train chimera` does."""
    train_heads(order, "chimera", make_fitted)


def _sees(places: Tensor, num_places: int) -> Tensor:
    """(b, r) places → (b, 1, r, 2p): a place sees h of places up to its own and g of places up to the next."""
    columns = torch.arange(num_places, device=places.device)
    return (columns <= places[..., None]).repeat(1, 1, 2)[:, None]
