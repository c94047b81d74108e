"""DSpark's head: what the token before adds to the scores of a place, and how sure the sum can be.

arXiv 2607.05147 and the code of DeepSpec and vLLM's `speculators`. With W1 and W2 of low rank, p the token before and
h the place's state behind the last norm, scores grow by W2 of W1[p] (vanilla), of σ(G [h; W1[p]]) ⊙ W1[p] (gated), or
of the output of a state that goes along the block (rnn). Confidence is σ(w [h; W1[p]] + b), or of h alone: how much of
the target's law the drafter's is foreseen to share. Knows tensors; no block, no tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.drafters.heads import _borrowed
from engine.drafters.heads._layers import linear
from engine.errors import BadInput
from engine.runtime import crossings

if TYPE_CHECKING:
    from engine.drafters.heads._candidates import LogProbs, Tokens
    from engine.drafters.heads._weights import Weights
    from engine.models import LoadedModel

KINDS = ("vanilla", "gated", "rnn")
W1, W2, GATE, JOINT = (f"markov_head.{name}" for name in ("markov_w1", "markov_w2", "gate_proj", "joint_proj"))
CONFIDENCE = "confidence_head.proj"
_INNER = {"gated": (GATE, 1, 1), "rnn": (JOINT, 3, 2)}
"""Of a kind its matrix, and how many times the rank it has as rows, and as columns beside the state's width."""


class Head:
    """The weights in the form in which they run. Shared by sessions; read-only."""

    def __init__(self, weights: Weights, loaded: LoadedModel, width: int, vocabulary: Tokens) -> None:
        """`vocabulary`: the tokens that are scored. Raises BadInput where tensors fit neither config nor backbone."""
        self.device, self.dtype = loaded.device, loaded.dtype
        self.rank = weights.number("markov_rank", low=0, default=0)
        self.kind = str(weights.config.get("markov_head_type", KINDS[0])).lower()
        if self.kind not in KINDS:
            raise BadInput(f"markov_head_type in {weights.folder} is {self.kind!r:.40}; wanted {', '.join(KINDS)}.")
        if self.rank:
            self.before = self._before(weights, loaded)
            self._behind = linear(loaded, self._rows(weights, vocabulary))
            if self.kind in _INNER:
                name, rows, columns = _INNER[self.kind]
                size = rows * self.rank, width + columns * self.rank
                self._inner = linear(
                    loaded, weights.take(f"{name}.weight", *size), weights.take(f"{name}.bias", size[0])
                )
        self._confidence = self._confident(weights, loaded, width)

    @property
    def is_confident(self) -> bool:
        """Whether it says how sure it is."""
        return self._confidence is not None

    def embedded(self, tokens: Tokens) -> Tensor:
        """W1 of tokens, (m, rank); rank 0 where there is no W1."""
        if not self.rank:
            return torch.empty(len(tokens), 0, device=self.device, dtype=self.dtype)
        return self.before[crossings.upload(torch.from_numpy(tokens), self.device)]

    def added(self, before: Tensor, states: Tensor, inner: Tensor) -> tuple[Tensor, Tensor]:
        """What is added to scores (m, n), and the state that goes along, behind one (m, rank).

        `before (m, rank)` is `embedded`, `states (m, d)` are the place's. Not of rank 0.
        """
        if self.kind == "gated":
            gate = torch.sigmoid(self._inner.forward(torch.cat((states, before), dim=1)))
            before = gate * before
        if self.kind == "rnn":
            joint = self._inner.forward(torch.cat((inner, before, states), dim=1))
            gate, candidate, output = joint.chunk(3, dim=1)
            gate = torch.sigmoid(gate)
            inner, before = gate * inner + (1 - gate) * torch.tanh(candidate), torch.tanh(output)
        return self._behind.forward(before), inner

    def confidence(self, before: Tensor, states: Tensor) -> LogProbs:
        """(m,) how sure it is of places with these states behind these tokens. Not where it does not say."""
        assert self._confidence is not None
        weight, bias, reads_token = self._confidence
        given = torch.cat((states, before), dim=1) if reads_token else states
        (found,) = crossings.download(torch.sigmoid(given.float() @ weight + bias))
        return found.double().numpy()

    def _before(self, weights: Weights, loaded: LoadedModel) -> Tensor:
        """(v, rank), a row for each of the target's tokens; tables may be padded to another length than its own."""
        if f"{W1}.weight" not in weights.tensors:
            raise BadInput(f"The weights in {weights.folder} lack {W1}.weight; markov_rank is {self.rank}.")
        table = weights.take(f"{W1}.weight", len(weights.tensors[f"{W1}.weight"]), self.rank)
        missing = loaded.model.get_output_embeddings().out_features - len(table)
        return nn.functional.pad(table, (0, 0, 0, max(0, missing))).to(self.device, self.dtype)

    def _rows(self, weights: Weights, vocabulary: Tokens) -> Tensor:
        """W2's rows (n, rank) of the tokens that are scored; it may hold no others."""
        table = weights.take(f"{W2}.weight", len(weights.tensors.get(f"{W2}.weight", ())), self.rank)
        if len(table) == len(vocabulary) and "d2t" not in weights.tensors:
            return table
        places = {token: row for row, token in enumerate(_borrowed.drafted_ids(weights, len(table)).tolist())}
        return table[torch.tensor([places[token] for token in vocabulary.tolist()])]

    def _confident(self, weights: Weights, loaded: LoadedModel, width: int) -> tuple[Tensor, float, bool] | None:
        name = f"{CONFIDENCE}.weight"
        if name not in weights.tensors:
            return None
        reads_token = bool(weights.config.get("confidence_head_with_markov", bool(self.rank)))
        weight = weights.take(name, 1, width + self.rank * reads_token)[0]
        bias = weights.take(f"{CONFIDENCE}.bias", 1)
        return weight.float().to(loaded.device), float(bias), reads_token
