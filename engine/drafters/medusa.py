"""Medusa: heads on the target's last hidden state, each foreseeing another place on its own.

Cai et al. (arXiv 2401.10774) and the published code. Head k reads the hidden state that produced the root and gives
candidates for the token k + 1 places behind it, by residual blocks y + SiLU(W y + b) and an output layer: its own,
or the target's where the weights hold none (the code's second version). The candidates fill a static tree of rank
paths, chosen by how often each node was right on held-out text.

Choices of ours: nodes are counted jointly, where the paper multiplies the heads' accuracies as if they were
independent; of these as many are drafted as pay on this machine. Weights without a measured tree get one grown from
the accuracies that the authors logged for Vicuna 7B. The number of heads is what the file holds, since released
configs say 2 where there are 5. Acceptance is exact; the paper's typical acceptance is the rule `typical`, lossy.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from engine.drafters import _shape
from engine.drafters._candidates import likeliest
from engine.drafters._weights import Weights, find_weights, missing_reason
from engine.drafters.base import Context, Drafter, Needs
from engine.errors import BadInput
from engine.options import option
from engine.runtime.linear import pack
from engine.runtime.row_cost import relative_costs
from engine.tree import EMPTY_TREE, DraftTree

if TYPE_CHECKING:
    from engine.models import LoadedModel
    from engine.target import Scored, Target
    from engine.verify import Verdict

MOST_HEADS = 16
_LOGGED = ((0.560, 0.780), (0.316, 0.563), (0.201, 0.417), (0.147, 0.340), (0.118, 0.300))
"""Accuracy of the first and of the first five candidates of each head: the authors' training log for Vicuna 7B."""


@dataclass(frozen=True)
class MedusaOptions:
    """Which weights, and which part of their tree."""

    weights: str = option("auto", "Weights: the target's own (auto), or a folder.")
    budget: int = option(0, "Most nodes to draft; 0 fits this machine.", low=0, high=64, unit="nodes")
    depth: int = option(0, "Heads to use; 0 uses all there are.", low=0, high=MOST_HEADS, unit="tokens")
    top_k: int = option(0, "Candidates of each head; 0 takes all in the tree.", low=0, high=16, unit="tokens")


class MedusaHeads:
    """The heads, ready to run for one target. Shared by sessions."""

    def __init__(self, weights: Weights, loaded: LoadedModel) -> None:
        """Raises BadInput where the tensors do not fit the target."""
        self.dtype, self.device = loaded.dtype, loaded.device
        self.width = int(loaded.model.config.get_text_config().hidden_size)
        self.num_heads = 1 + max((int(name.split(".")[0]) for name in weights.tensors if _is_of_head(name)), default=-1)
        self.num_layers = weights.number("medusa_num_layers", default=1)
        if self.num_heads < 1:
            raise BadInput(f"The weights in {weights.folder} hold no Medusa head, as 0.0.linear.weight would be.")
        self.blocks = [
            [self._block(weights, head, i) for i in range(self.num_layers)] for head in range(self.num_heads)
        ]
        self.outputs = self._outputs(weights, loaded)

    def _block(self, weights: Weights, head: int, i: int) -> nn.Module:
        weight = weights.take(f"{head}.{i}.linear.weight", self.width, self.width)
        bias = weights.take(f"{head}.{i}.linear.bias", self.width)
        return self._pack(weight, bias)

    def _outputs(self, weights: Weights, loaded: LoadedModel) -> list[nn.Module]:
        """An output layer for each head, or the target's own for all."""
        own = loaded.model.get_output_embeddings()
        names = [f"{head}.{self.num_layers}.weight" for head in range(self.num_heads)]
        if not any(name in weights.tensors for name in names):
            return [self._pack(own.weight) if isinstance(own, nn.Linear) else own]
        vocab_size = own.out_features
        return [self._pack(weights.take(name, vocab_size, self.width)) for name in names]

    def _pack(self, weight: Tensor, bias: Tensor | None = None) -> nn.Module:
        weight = weight.to(self.device, self.dtype).contiguous()
        return pack(weight, None if bias is None else bias.to(self.device, self.dtype))

    @torch.inference_mode()
    def scores(self, hidden: Tensor) -> Tensor:
        """(1, h) hidden state of the target → (heads, v) float32."""
        found = []
        for blocks in self.blocks:
            y = hidden.to(self.dtype)
            for block in blocks:
                y = y + nn.functional.silu(block.forward(y))
            found.append(y)
        if len(self.outputs) == 1:
            shared: Tensor = self.outputs[0].forward(torch.cat(found)).float()
            return shared
        return torch.cat([output.forward(y) for output, y in zip(self.outputs, found, strict=True)]).float()


def _is_of_head(name: str) -> bool:
    return re.fullmatch(r"\d+\.\d+\.(linear\.)?(weight|bias)", name) is not None


@functools.lru_cache(maxsize=4)
def load_heads(weights: Weights, loaded: LoadedModel) -> MedusaHeads:
    """The heads of a weights folder, once for all sessions."""
    return MedusaHeads(weights, loaded)


def default_shape(num_heads: int) -> _shape.Shape:
    """A tree for weights that come without one; candidates two to five halve in accuracy one after another."""
    table = []
    for head in range(num_heads):
        first, five = _LOGGED[min(head, len(_LOGGED) - 1)]
        table.append([first, *((five - first) * share / 15 for share in (8, 4, 2, 1))])
    return _shape.grow(table, _shape.MAX_NODES)


class Medusa(Drafter):
    """A static tree filled with the heads' candidates."""

    name = "medusa"
    title = "Medusa"
    summary = "Heads on the target's hidden state foresee several places at once, each on its own."
    source = "arXiv 2401.10774"
    needs = Needs(weights=True, hidden_layers=(-1,))
    Options = MedusaOptions
    options: MedusaOptions

    def __init__(self, options: MedusaOptions, target: Target) -> None:
        super().__init__(options, target)
        weights = find_weights(target, self.name, options.weights)
        self.heads = load_heads(weights, target.loaded)
        self.shape = self._choose_shape(weights, target)
        self._state: Tensor | None = None

    @classmethod
    def unavailable(cls, target: Target | None = None) -> str | None:
        return missing_reason(target, cls.name)

    def start(self, context: Context) -> None:
        super().start(context)
        self._state = context.prompt_hidden[0][-1:] if context.prompt_hidden else None

    def propose(self, context: Context, budget: int) -> DraftTree:
        shape = self.shape if budget >= len(self.shape) else self.shape.limited(budget)
        if self._state is None or not len(shape):
            return EMPTY_TREE
        scores = self.heads.scores(self._state)
        tokens, log_probs = (best[shape.depths, shape.ranks] for best in likeliest(scores, int(shape.ranks.max()) + 1))
        return DraftTree(tuple(tokens.tolist()), shape.parents, tuple(np.exp(log_probs).tolist()))

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        assert scored.hidden is not None
        row = verdict.path[-1] + 1 if verdict.path else 0
        self._state = scored.hidden[0][row : row + 1]

    def _choose_shape(self, weights: Weights, target: Target) -> _shape.Shape:
        """The weights' own tree, as deep and wide as asked for, and of as many nodes as asked for or as pay."""
        rows = weights.shape_rows()
        whole = default_shape(self.heads.num_heads) if rows is None else _shape.from_rows(rows)
        depth = min(self.options.depth or self.heads.num_heads, self.heads.num_heads)
        fitting = whole.limited(depth=depth, top_k=self.options.top_k or _shape.MAX_NODES)
        fitting = fitting.limited(top_k=target.loaded.model.get_output_embeddings().out_features)
        if self.options.budget:
            return fitting.limited(self.options.budget)
        return _shape.choose(fitting, relative_costs(target))


DRAFTER = Medusa
