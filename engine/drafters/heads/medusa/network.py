"""Medusa's heads on one hidden state, through torch, played on a GPU, or, where small and on a CPU, compiled.

Arithmetic and names are the published code's, as method.py says. Knows hidden states and tokens; knows nothing of
draft trees, options or verdicts.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.drafters.heads._candidates import Candidates, ranked, read
from engine.drafters.heads._layers import linear, output_layer, player, small_output
from engine.drafters.heads._weights import Weights
from engine.errors import BadInput

if TYPE_CHECKING:
    from engine.drafters.heads.medusa import kernel
    from engine.models import LoadedModel


class MedusaHeads:
    """The heads, ready to run for one target. Shared by sessions."""

    def __init__(self, weights: Weights, loaded: LoadedModel) -> None:
        """Raises BadInput where the tensors do not fit the target."""
        self._player = player(loaded)
        self.dtype, width = loaded.dtype, loaded.model.get_output_embeddings().in_features
        self.num_heads = 1 + max((int(name.split(".")[0]) for name in weights.tensors if _is_of_head(name)), default=-1)
        self.num_layers = weights.number("medusa_num_layers", default=1)
        if self.num_heads < 1:
            raise BadInput(f"The weights in {weights.folder} hold no Medusa head, as 0.0.linear.weight would be.")
        names = [f"{head}.{i}.linear" for i in range(self.num_layers) for head in range(self.num_heads)]
        matrices = torch.stack([weights.take(f"{name}.weight", width, width) for name in names])
        biases = torch.stack([weights.take(f"{name}.bias", width) for name in names])
        self._layers = [linear(loaded, *layer) for layer in zip(matrices, biases, strict=True)]
        """Block after block, of each head one."""
        self.vocabulary = weights.vocabulary(loaded.model.get_output_embeddings().out_features)
        """Token id of each score."""
        self.outputs = self._outputs(weights, loaded, width)
        self._compiled = self._compile(matrices, biases, loaded)

    def likeliest(self, hidden: Tensor, top_k: int, num_heads: int | None = None) -> Candidates:
        """The best tokens of the first heads (of all), (heads, k), from the target's hidden state (1, h)."""
        num_heads = num_heads or self.num_heads
        if self._compiled is None:
            (found,) = self._player.run((num_heads, top_k), partial(self._ranked, num_heads, top_k), given=(hidden,))
            places, log_probs = read(found)
        else:
            places, log_probs = self._compiled.likeliest(hidden, top_k, num_heads)
        return self.vocabulary[places], log_probs

    def _ranked(self, num_heads: int, top_k: int, hidden: Tensor) -> tuple[Tensor]:
        return (ranked(self.scores(hidden, num_heads), top_k),)

    @torch.inference_mode()
    def scores(self, hidden: Tensor, num_heads: int | None = None) -> Tensor:
        """(1, h) hidden state of the target → (heads, n) float32, of the vocabulary's tokens."""
        found = [hidden.to(self.dtype)] * (num_heads or self.num_heads)
        for place, layer in enumerate(self._layers):
            head = place % self.num_heads
            if head < len(found):
                found[head] = found[head] + nn.functional.silu(layer.forward(found[head]))
        if len(self.outputs) == 1:
            shared: Tensor = self.outputs[0].forward(torch.cat(found)).float()
            return shared
        return torch.cat([output.forward(y) for output, y in zip(self.outputs, found, strict=False)]).float()

    def _outputs(self, weights: Weights, loaded: LoadedModel, width: int) -> list[nn.Module]:
        """An output layer for each head, or the target's own for all."""
        names = [f"{head}.{self.num_layers}.weight" for head in range(self.num_heads)]
        if not any(name in weights.tensors for name in names):
            return [output_layer(loaded, self.vocabulary)]
        rows = torch.from_numpy(self.vocabulary)
        num_tokens = loaded.model.get_output_embeddings().out_features
        return [linear(loaded, weights.take(name, num_tokens, width)[rows]) for name in names]

    def _compile(self, matrices: Tensor, biases: Tensor, loaded: LoadedModel) -> kernel.CompiledHeads | None:
        """The compiled form, of heads that share a small target's output layer."""
        output = small_output(loaded, self.vocabulary)
        if output is None or len(self.outputs) > 1:
            return None
        from engine.drafters.heads.medusa.kernel import CompiledHeads

        matrices, biases = (part.unflatten(0, (self.num_layers, self.num_heads)) for part in (matrices, biases))
        return CompiledHeads(matrices, biases, output, self.dtype)


def _is_of_head(name: str) -> bool:
    return re.fullmatch(r"\d+\.\d+\.(linear\.)?(weight|bias)", name) is not None
