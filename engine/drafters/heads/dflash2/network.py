"""DFlash 2's network: DFlash's layers between convolutions, and a selector among each place's likeliest tokens.

z-lab's DFlash 2, by the arithmetic of vLLM's `speculators` (pull request 1006). Around attention and around the MLP
a block's rows are mixed with those before them, by kernels that hang on the row: out[i, c] = Σ_t (base[t, c] +
δ[i, t, g(c)]) · x[i - t, c], c's group g(c), nothing before the block. One product of what enters a part gives δ of
what goes in and of what comes out. Of each place the K likeliest tokens stay; behind token p candidate c scores its
logit plus ⟨A[p] ⊙ P h, B[c]⟩, h the place's state behind the last norm. Knows rows, tokens and scores; no tree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.drafters.heads._candidates import Tokens
from engine.drafters.heads._layers import linear
from engine.drafters.heads.dflash.network import Layer, Look
from engine.drafters.heads.dflash.walks import Step, Walk, WalkedNetwork
from engine.errors import BadInput
from engine.runtime import crossings

if TYPE_CHECKING:
    from engine.drafters.heads._weights import Weights
    from engine.drafters.heads.dflash.form import Form
    from engine.models import LoadedModel

SELECTOR = "candidate_selector"
BEFORE, BEHIND, PROJECTION = (
    f"{SELECTOR}.{name}" for name in ("predecessor_codebook", "successor_codebook", "hidden_projection.weight")
)
MOST_CANDIDATES = 64


class DFlash2Network(WalkedNetwork):
    """The weights in the form in which they run for one target. Shared by sessions; read-only."""

    def __init__(self, weights: Weights, loaded: LoadedModel) -> None:
        """Raises BadInput where tensors fit neither config nor target."""
        super().__init__(weights, loaded)
        if self.form.sample_from_anchor:
            raise BadInput(f"The weights in {weights.folder} ask the root's row, which DFlash 2 does not.")
        rank = weights.number("selector_rank")
        self.top_k = min(weights.number("selector_top_k"), MOST_CANDIDATES, len(self.vocabulary))
        self.before, self.behind = (self._book(weights, loaded, name, rank) for name in (BEFORE, BEHIND))
        self.projection = linear(loaded, weights.take(PROJECTION, rank, self.form.hidden_size))

    def layer(self, weights: Weights, loaded: LoadedModel, number: int) -> Layer:
        return ConvolvedLayer(weights, loaded, self.form, number)

    def walk(self, states: Tensor, *, is_asked: bool) -> LatticeWalk:
        return LatticeWalk(self, states)

    def _book(self, weights: Weights, loaded: LoadedModel, name: str, rank: int) -> Tensor:
        """(v, rank), a row for each of the target's tokens; tables may be padded to another length than its own."""
        table = weights.take(name, len(weights.tensors.get(name, ())), rank)
        num_tokens = loaded.model.get_output_embeddings().out_features
        if len(table) < self.form.vocab_size:
            raise BadInput(f"{name} in {weights.folder} has {len(table)} rows; wanted one for each token.")
        missing = max(0, num_tokens - len(table))
        return nn.functional.pad(table, (0, 0, 0, missing)).to(loaded.device, loaded.dtype)


class LatticeWalk(Walk):
    """The candidates of each place, and how well each goes behind a token."""

    def __init__(self, network: DFlash2Network, states: Tensor) -> None:
        self.network = network
        finished = network.finished(states)
        best = network.scored(finished).float().topk(network.top_k, dim=1)
        self._places, self._unary = best.indices, best.values
        (places,) = crossings.download(best.indices)
        self.ids: Tokens = network.vocabulary[places.long().numpy()]
        """(k, n): the tokens of each place."""
        rows = crossings.upload(torch.from_numpy(self.ids), network.device)
        self._behind = network.behind[rows]
        self._projected = network.projection.forward(finished)

    def step(self, level: int, rows: Tokens, tokens: Tokens) -> Step:
        before = self.network.before[crossings.upload(torch.from_numpy(tokens), self.network.device)]
        scores = self._unary[level] + ((before * self._projected[level]) @ self._behind[level].T).float()
        self._level = level
        return Step(scores, self.ids[level], None)

    def logits(self, step: Step) -> Tensor:
        num = self.network.num_scored
        scores = step.scores.new_full((len(step.scores), num), -torch.inf)
        return self.network.spread(scores.index_copy_(1, self._places[self._level], step.scores))


class Convolution:
    """Kernels around a part of a layer, made of what enters it."""

    def __init__(self, weights: Weights, loaded: LoadedModel, name: str, size: int) -> None:
        taps, group = weights.number("conv_kernel_size"), weights.number("conv_group_size")
        if size % group:
            raise BadInput(f"conv_group_size in {weights.folder} is {group}, which does not divide {size}.")
        base = weights.take(f"{name}.base_kernel", 2, taps, size)
        self.base = base.to(loaded.device, loaded.dtype).view(2, taps, -1, group)
        rows = 2 * taps * (size // group)
        self._projection = linear(loaded, weights.take(f"{name}.kernel_projection.weight", rows, size))

    def around(self, given: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        """What a part (m, d) → (m, d) of the layer adds to rows of a block, convolved before and behind it."""
        _, taps, groups, _ = self.base.shape
        kernels = self.base + self._projection.forward(given).view(-1, 2, taps, groups, 1)
        return convolved(part(convolved(given, kernels[:, 0])), kernels[:, 1])


def convolved(x: Tensor, kernels: Tensor) -> Tensor:
    """Rows (m, d) of a block, each with those before it by its own kernel (m, taps, groups, d ÷ groups)."""
    rows = x.view(len(x), *kernels.shape[2:])
    found = rows * kernels[:, 0]
    for tap in range(1, kernels.shape[1]):
        found[tap:] += rows[:-tap] * kernels[tap:, tap]
    return found.view(x.shape)


class ConvolvedLayer(Layer):
    """A layer with convolutions around attention and MLP."""

    def __init__(self, weights: Weights, loaded: LoadedModel, form: Form, number: int) -> None:
        super().__init__(weights, loaded, form, number)
        self._attention_conv, self._mlp_conv = (
            Convolution(weights, loaded, f"layers.{number}.{part}_conv", form.hidden_size)
            for part in ("attention", "mlp")
        )

    def attended(self, given: Tensor, cos: Tensor, sin: Tensor, look: Look) -> Tensor:
        plain = super().attended
        return self._attention_conv.around(given, lambda rows: plain(rows, cos, sin, look))

    def mixed(self, given: Tensor) -> Tensor:
        return self._mlp_conv.around(given, super().mixed)
