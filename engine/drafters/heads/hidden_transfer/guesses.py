"""What the pseudo states of a row that looks ahead foresee: read by the target's own output layer.

A pseudo state was made before the target had chosen the token behind its owner. By the time it is read that token is
known, and so is the owner's own last state. A trained correction adds, behind the last norm, an affine map of both to
the pseudo state y, then a residual block y + SiLU(W y + b), each step with weights of its own. This is ours and not the
paper's; without it states are read as they are. Through torch or, beside a small output layer on a CPU, compiled.
Knows states and a token; no rows, trees or passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from engine.drafters.heads._candidates import LogProbs, Tokens, likeliest
from engine.drafters.heads._weights import Weights, small_output

if TYPE_CHECKING:
    from engine.drafters.heads.hidden_transfer import kernel
    from engine.models import LoadedModel
    from engine.runtime.cpu.small_products import Matrix
    from engine.runtime.cpu.softmax import Floats


class Correction(NamedTuple):
    """A step's weights."""

    weight: Tensor
    """(h, 2h), of the owner's state and the token's embedding."""
    bias: Tensor
    block: Tensor
    """(h, h)."""
    block_bias: Tensor


class Guesses:
    """Reads the pseudo states of steps 1, 2, …. Shared by sessions."""

    def __init__(self, loaded: LoadedModel, corrections: Sequence[Correction]) -> None:
        """Of every step, or of none."""
        model = loaded.model
        self._table = cast(nn.Embedding, model.get_input_embeddings()).weight
        self._output = cast(nn.Module, model.get_output_embeddings())
        self._dtype = loaded.dtype
        parts = zip(*corrections, strict=True)
        self._stacked = Correction(*(torch.stack(part).to(self._table) for part in parts)) if corrections else None
        self._compiled = self._compile(loaded)

    def likeliest(self, states: Tensor, owner: Tensor, root_id: int, top_k: int) -> tuple[Tokens, LogProbs]:
        """Each of k steps' best tokens and their log-probabilities, (k, top_k) each.

        Of their states (k, h) and their owner's (1, h), behind the last norm, and the token chosen behind the owner.
        """
        if self._compiled is None:
            return likeliest(self.scores(states, owner, root_id), top_k)
        from engine.drafters.heads.hidden_transfer import kernel
        from engine.runtime.cpu.threads import compiled_threads

        size = (len(states), min(top_k, len(self._compiled.output_scales)))
        tokens, log_probs = np.empty(size, np.int64), np.empty(size)
        with compiled_threads():
            kernel.guesses(self._compiled, states.float().numpy(), owner[0].float().numpy(), root_id, tokens, log_probs)
        return tokens, log_probs

    @torch.inference_mode()
    def scores(self, states: Tensor, owner: Tensor, root_id: int) -> Tensor:
        """As `likeliest`, each step's scores of all tokens, (k, v) float32."""
        y = states.to(self._dtype)
        if self._stacked is not None:
            weight, bias, block, block_bias = (part[: len(states)] for part in self._stacked)
            known = torch.cat((owner[0].to(self._dtype), self._table[root_id]))
            y = y + weight @ known + bias
            y = y + nn.functional.silu(torch.einsum("koi,ki->ko", block, y) + block_bias)
        scores: Tensor = self._output(y).float()
        return scores

    def _compile(self, loaded: LoadedModel) -> kernel.Reader | None:
        """The compiled form beside a small target's output layer."""
        output = small_output(loaded)
        if output is None:
            return None
        from engine.drafters.heads.hidden_transfer import kernel
        from engine.runtime.cpu.small_products import numbers_of, packed_small

        width = output.shape[1]
        none = torch.zeros(0, width)
        parts = self._stacked or Correction(torch.zeros(0, width, 2 * width), none, torch.zeros(0, width, width), none)
        corrections, scales = _packed_each(parts.weight, self._dtype)
        blocks, block_scales = _packed_each(parts.block, self._dtype)
        scores, output_scales = packed_small(output, self._dtype)
        return kernel.Reader(
            corrections=corrections,
            scales=scales,
            biases=parts.bias.float().numpy(),
            blocks=blocks,
            block_scales=block_scales,
            block_biases=parts.block_bias.float().numpy(),
            table=numbers_of(self._table),
            output=scores,
            output_scales=output_scales,
        )


def _packed_each(matrices: Tensor, dtype: torch.dtype) -> tuple[Matrix, Floats]:
    """Matrices (n, o, i), perhaps none, as `linear_each` reads them, with their scales (n, o)."""
    from engine.runtime.cpu.small_products import packed_small

    empty = packed_small(matrices.new_zeros(matrices.shape[1:]), dtype)
    numbers, scales = zip(empty, *(packed_small(matrix, dtype) for matrix in matrices), strict=True)
    return np.stack(numbers)[1:], np.stack(scales)[1:]


def load_guesses(weights: Weights, loaded: LoadedModel, *, is_corrected: bool) -> Guesses:
    """The reading of a weights folder's pseudo states, once for all sessions. Raises BadInput."""
    key = ("hidden transfer guesses", weights, is_corrected)
    return loaded.keep(key, lambda: _guesses(weights, loaded, is_corrected=is_corrected))


def _guesses(weights: Weights, loaded: LoadedModel, *, is_corrected: bool) -> Guesses:
    width = int(loaded.model.config.get_text_config().hidden_size)
    steps = range(weights.number("num_steps")) if is_corrected and has_corrections(weights) else range(0)
    shapes = {"weight": (width, 2 * width), "bias": (width,), "block.weight": (width, width), "block.bias": (width,)}
    found = [
        Correction(*(weights.take(f"correction.{step}.{name}", *shape) for name, shape in shapes.items()))
        for step in steps
    ]
    return Guesses(loaded, found)


def has_corrections(weights: Weights) -> bool:
    """Whether corrections were trained for these maps."""
    return any(name.startswith("correction.") for name in weights.tensors)
