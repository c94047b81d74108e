"""Heads that foresee tokens from a frozen target's last hidden states: what a method trains, and on what loss.

A method gives a `Heads` module; `head_training` trains, measures and writes it.

Place p of a row is where the target's hidden state, behind its last norm, scores token p + 1: the root of a
draft. Head i is asked there for token p + 2 + i. In a `Heads` module, vocabulary tables are named `embed` or
`lm_head` and go to AdamW; every other matrix goes to Muon (`trainer.make_optimizers`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.drafters.heads._weights import SCALE, WEIGHTS_FILE
from engine.errors import BadInput
from engine.training.material import Material
from engine.training.packing import IGNORED

Soft = tuple[Tensor, Tensor]
"""The target's likeliest tokens and their probabilities among themselves, (b, t, s) each."""


class Heads(nn.Module, ABC):
    """What a method trains. `end_ids` end a text; the tokens of `begin_ids`, in a row, begin an answer."""

    num_heads: int
    end_ids: tuple[int, ...] = ()
    begin_ids: tuple[int, ...] = ()
    places: Tensor | None = None
    """(v,) place of each token among those that are scored, below zero for the others; None where all are."""
    is_distilled = False
    """Whether heads learn the target's distribution of the token (`Soft`), and not the token."""
    has_context = True
    """Whether a place looks at those before it, `contextual` apart; where not, places not asked are not computed."""
    taps: tuple[int, ...] = ()
    """The target's states that are read side by side, the last of which is the last; none where that is all."""
    added: tuple[str, ...] = ()
    """Parts of the names of tensors that this method adds to another's, whose weights it may begin with."""
    most_bytes = 12_000_000
    """Of a weights file in bf16; a larger one keeps matrices in bytes."""
    has_static_tree = True
    """Whether the method's tree is of a shape measured here, and not of one that follows the text."""

    def reading(self, material: Material) -> Self:
        """These heads, told where the material's texts end, its answers begin and which tokens are scored."""
        self.end_ids, self.begin_ids, self.places = material.end_ids, material.begin_ids, material.places
        return self

    def contextual(self, hidden: Tensor) -> Tensor:
        """What `scores` reads of a row's hidden states (b, t, h): they themselves, or what a layer over them makes."""
        return hidden

    @abstractmethod
    def scores(self, ids: Tensor, hidden: Tensor) -> Iterator[Tensor]:
        """Logits (b, p, v) of one head after another at the first p = t - num_heads places of each row.

        `ids (b, t + 1)` are true tokens, padding clamped to 0; `hidden (b, t, h)` is `contextual`. Head i at place p
        may read hidden states up to p and tokens up to p + 1 + i.
        """

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """What is kept, by the method's published names."""

    @torch.no_grad()
    def begin_with(self, folder: Path) -> None:
        """Take over the weights of a folder. Raises BadInput where they are others than `tensors`.

        Those that another method's weights lack (`added`) stay as they are where none of them is there.
        """
        given = _whole(load_file(folder / WEIGHTS_FILE)) if (folder / WEIGHTS_FILE).is_file() else {}
        own = {name: tensor.detach() for name, tensor in self.tensors().items()}
        if not any(self.is_added(name) for name in given):
            own = {name: tensor for name, tensor in own.items() if not self.is_added(name)}
        if {name: part.shape for name, part in own.items()} != {name: part.shape for name, part in given.items()}:
            raise BadInput(f"{folder} does not hold what is trained here; wanted the tensors {', '.join(own)}.")
        for name, tensor in own.items():
            tensor.copy_(given[name])

    def is_added(self, name: str) -> bool:
        """Whether a tensor is of what this method adds to weights of another that it may begin with."""
        return any(part in name for part in self.added)

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """What the method's `config.json` says of the architecture."""

    def labels(self, ids: Tensor) -> Tensor:
        """What each head is asked of (b, t + 1) ids, as `labels_of` says, by place; nothing of tokens without one."""
        labels = labels_of(ids, self.num_heads, self.end_ids, self.begin_ids)
        return labels if self.places is None else placed(labels, self.places, IGNORED)

    def head_weight(self, head: int) -> float:
        """What one head's loss counts."""
        return 1.0

    def forward(self, ids: Tensor, hidden: Tensor, soft: Soft | None = None) -> Tensor:
        """Weighted sum of the heads' mean cross-entropies, in nats.

        Over (b, t + 1) ids, padding below zero, and (b, t, h) hidden states: with the true tokens, or with the
        target's distributions `soft`, whose row q is that of token q + 1.
        """
        labels = self.labels(ids)
        is_asked = labels[0] != IGNORED
        num_places = is_asked.shape[1]
        hidden = self.contextual(hidden)
        if not self.has_context:
            ids = ids.unfold(1, self.num_heads + 2, 1)[is_asked]
            hidden = hidden[:, :num_places][is_asked][:, None]
        total = torch.zeros((), device=ids.device)
        for i, scores in enumerate(self.scores(ids.clamp(min=0), hidden)):
            asked = scores[is_asked] if self.has_context else scores[:, 0]
            likely = soft and tuple(part[:, 1 + i : 1 + i + num_places][is_asked] for part in soft)
            total = total + self.head_weight(i) * _cross_entropy(asked, labels[i][is_asked], likely)
        return total


def _whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A file's tensors, those that it keeps in bytes with a scale a row multiplied out."""
    scales = {name.removesuffix(f".{SCALE}"): part for name, part in tensors.items() if name.endswith(f".{SCALE}")}
    return {
        name: part * scales[name][:, None] if name in scales else part
        for name, part in tensors.items()
        if not name.endswith(f".{SCALE}")
    }


def least_squares(given: Tensor, wanted: Tensor, ridge: float = 1e-3) -> Tensor:
    """The matrix (o, i) that best makes `wanted (n, o)` of `given (n, i)`."""
    gram = given.T @ given
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    solution: Tensor = torch.linalg.solve(gram, given.T @ wanted)
    return solution.T


def _cross_entropy(scores: Tensor, labels: Tensor, soft: tuple[Tensor, ...] | None) -> Tensor:
    """Mean over the k places that have a label; `soft` holds tokens and probabilities, both (k, s)."""
    if soft is None:
        return nn.functional.cross_entropy(scores.float(), labels, ignore_index=IGNORED)
    tokens, probs = soft
    scores = scores.float()
    losses = scores.logsumexp(dim=1) - (probs * scores.gather(1, tokens)).sum(dim=1)
    has_label = labels != IGNORED
    return (losses * has_label).sum() / has_label.sum().clamp(min=1)


def labels_of(ids: Tensor, num_heads: int, end_ids: Sequence[int], begin_ids: Sequence[int] = ()) -> Tensor:
    """(n, b, p): token p + 2 + i for head i; IGNORED in padding, behind the end of a text and outside answers."""
    num_places = ids.shape[1] - 1 - num_heads
    is_over = torch.isin(ids, torch.tensor(end_ids, device=ids.device, dtype=ids.dtype))
    found = []
    has_ended = ~_is_in_answer(ids, is_over, begin_ids)[:, :num_places]
    for head in range(num_heads):
        has_ended = has_ended | is_over[:, 1 + head : 1 + head + num_places]
        found.append(ids[:, 2 + head : 2 + head + num_places].masked_fill(has_ended, IGNORED))
    return torch.stack(found)


def placed(labels: Tensor, places: Tensor, outside: int) -> Tensor:
    """Labels as places of their tokens, `outside` where a token has none; what is IGNORED stays so."""
    places = places.to(labels.device)[labels.clamp(min=0)]
    return torch.where(labels == IGNORED, labels, places.masked_fill(places < 0, outside))


def _is_in_answer(ids: Tensor, is_over: Tensor, begin_ids: Sequence[int]) -> Tensor:
    """(b, t + 1): whether of an answer's beginning and its end the former was here last."""
    if not begin_ids:
        return torch.ones_like(is_over)
    begins = torch.ones_like(is_over)
    for back, token in enumerate(reversed(begin_ids)):
        begins = begins & (ids.roll(back, dims=1) == token)
        begins[:, :back] = False
    places = torch.arange(1, ids.shape[1] + 1, device=ids.device)
    last_begin, last_end = (torch.where(found, places, 0).cummax(dim=1).values for found in (begins, is_over))
    return last_begin > last_end
