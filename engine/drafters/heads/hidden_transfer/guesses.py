"""What the pseudo states of a row that looks ahead foresee: read by the target's own output layer.

A pseudo state was made before the target had chosen the token behind its owner. By the time it is read that token is
known, and so is the owner's own last state. A trained correction adds, behind the last norm, an affine map of both to
the pseudo state y, then a residual block y + SiLU(W y + b), each step with weights of its own. This is ours and not the
paper's; without it states are read as they are. Through torch, played on a GPU, or, beside a small output layer on a
CPU, compiled. Knows states and a token; no rows, trees or passes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from engine.drafters.heads._candidates import Candidates, Tokens, ranked, read
from engine.drafters.heads._layers import output_layer, player, small_output
from engine.drafters.heads._weights import Weights

if TYPE_CHECKING:
    from engine.drafters.heads.hidden_transfer import kernel
    from engine.models import LoadedModel


class Corrections(NamedTuple):
    """The weights of n steps."""

    weight: Tensor
    """(n, h, 2h), of the owner's state and the token's embedding."""
    bias: Tensor
    block: Tensor
    """(n, h, h)."""
    block_bias: Tensor


class Guesses:
    """Reads the pseudo states of steps 1, 2, …. Shared by sessions."""

    def __init__(self, loaded: LoadedModel, corrections: Corrections, vocabulary: Tokens) -> None:
        """Where `corrections` are of no step, states are read as they are. `vocabulary (n,)` is what is scored."""
        self.vocabulary, self._player = vocabulary, player(loaded)
        self._table = cast(nn.Embedding, loaded.model.get_input_embeddings()).weight
        self._output = output_layer(loaded, vocabulary)
        self._corrections = Corrections(*(part.to(self._table) for part in corrections))
        self._compiled = self._compile(small_output(loaded, vocabulary))

    def likeliest(self, states: Tensor, owner: Tensor, root_id: int, top_k: int) -> Candidates:
        """Each of k steps' best tokens, (k, top_k).

        Of their states (k, h) and their owner's (1, h), behind the last norm, and the token chosen behind the owner.
        """
        if self._compiled is None:
            work = partial(self._ranked, len(states), top_k)
            told, given = (np.array([root_id]),), (states, owner)
            (found,) = self._player.run((len(states), top_k), work, told, given)
            places, log_probs = read(found)
        else:
            places, log_probs = self._compiled.likeliest(states, owner, root_id, top_k)
        return self.vocabulary[places], log_probs

    def _ranked(self, num_states: int, top_k: int, root_id: Tensor, states: Tensor, owner: Tensor) -> tuple[Tensor]:
        return (ranked(self.scores(states[:num_states], owner, root_id), top_k),)

    @torch.inference_mode()
    def scores(self, states: Tensor, owner: Tensor, root_id: Tensor) -> Tensor:
        """As `likeliest`, each step's scores of the vocabulary, (k, n) float32, of a token (1,)."""
        y = states.to(self._table.dtype)
        if len(self._corrections.bias):
            weight, bias, block, block_bias = (part[: len(states)] for part in self._corrections)
            known = torch.cat((owner[0].to(y.dtype), nn.functional.embedding(root_id, self._table)[0]))
            y = y + weight @ known + bias
            y = y + nn.functional.silu(torch.einsum("koi,ki->ko", block, y) + block_bias)
        scores: Tensor = self._output(y).float()
        return scores

    def _compile(self, output: Tensor | None) -> kernel.CompiledGuesses | None:
        if output is None:
            return None
        from engine.drafters.heads.hidden_transfer.kernel import CompiledGuesses

        return CompiledGuesses(self._corrections, self._table, output)


def read_guesses(weights: Weights, loaded: LoadedModel, correction: str) -> Guesses:
    """How a folder's pseudo states are read: corrected (`root`) where that was trained, or not (`none`)."""
    is_corrected = correction == "root" and any(name.startswith("correction.") for name in weights.tensors)
    steps = range(weights.number("num_steps") if is_corrected else 0)
    width = loaded.model.get_output_embeddings().in_features
    sizes = {"weight": (width, 2 * width), "bias": (width,), "block.weight": (width, width), "block.bias": (width,)}
    parts = [
        torch.cat((torch.empty(0, *size), *(weights.take(f"correction.{step}.{name}", *size)[None] for step in steps)))
        for name, size in sizes.items()
    ]
    num_tokens = loaded.model.get_output_embeddings().out_features
    return Guesses(loaded, Corrections(*parts), weights.vocabulary(num_tokens))
