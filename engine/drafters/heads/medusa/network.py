"""Medusa's heads on one hidden state, through torch or, where small and on a CPU, compiled.

Arithmetic and names are the published code's, as medusa.py says. Knows hidden states and tokens; knows nothing of
draft trees, options or verdicts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from engine.drafters.heads._candidates import LogProbs, Tokens, likeliest
from engine.drafters.heads._weights import Weights, small_output
from engine.errors import BadInput
from engine.runtime.linear import pack

if TYPE_CHECKING:
    from engine.drafters.heads.medusa import kernel
    from engine.models import LoadedModel


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
        self._compiled = self._compile(weights, loaded)

    def likeliest(self, hidden: Tensor, top_k: int) -> tuple[Tokens, LogProbs]:
        """(1, h) hidden state of the target → each head's best tokens and their log-probabilities, (heads, k) each."""
        if self._compiled is None:
            return likeliest(self.scores(hidden), top_k)
        from engine.drafters.heads.medusa import kernel
        from engine.runtime.cpu.threads import compiled_threads

        size = (self.num_heads, min(top_k, len(self._compiled.output_scales)))
        tokens, log_probs = np.empty(size, np.int64), np.empty(size)
        with compiled_threads():
            kernel.candidates(self._compiled, hidden[0].float().numpy(), tokens, log_probs)
        return tokens, log_probs

    def _compile(self, weights: Weights, loaded: LoadedModel) -> kernel.Heads | None:
        """The compiled form, of heads that share a small target's output layer."""
        output = small_output(loaded)
        if output is None or len(self.outputs) > 1:
            return None
        from engine.drafters.heads.medusa import kernel
        from engine.runtime.cpu.small_products import packed_small

        names = [[f"{head}.{i}.linear" for head in range(self.num_heads)] for i in range(self.num_layers)]
        matrices = [[packed_small(weights.tensors[f"{name}.weight"], self.dtype) for name in block] for block in names]
        biases = [torch.stack([weights.tensors[f"{name}.bias"].float() for name in block]) for block in names]
        scores, output_scales = packed_small(output, self.dtype)
        return kernel.Heads(
            blocks=np.array([[numbers for numbers, _ in block] for block in matrices]),
            block_scales=np.array([[scales for _, scales in block] for block in matrices]),
            biases=torch.stack(biases).numpy(),
            output=scores,
            output_scales=output_scales,
        )

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


def load_heads(weights: Weights, loaded: LoadedModel) -> MedusaHeads:
    """The heads of a weights folder, once for all sessions."""
    return loaded.keep(("medusa heads", weights), lambda: MedusaHeads(weights, loaded))
