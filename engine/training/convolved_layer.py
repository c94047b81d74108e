"""DFlash 2's decoder layer in training: a block drafter's, with convolutions around attention and MLP.

`engine/drafters/heads/dflash2/network.py` runs the same weights on one block. Knows tensors; no loss.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from engine.drafters.heads.dflash.form import Form
from engine.training.block_layers import Blocks, Layer


class Convolution(nn.Module):
    """Mixes rows of a block with those before them, by kernels made of what enters; a fresh one mixes nothing."""

    def __init__(self, size: int, taps: int, group: int) -> None:
        super().__init__()
        self.taps, self.num_groups = taps, size // group
        self.base_kernel = nn.Parameter(torch.zeros(2, taps, size))
        self.kernel_projection = nn.Linear(size, 2 * taps * self.num_groups, bias=False)
        nn.init.ones_(self.base_kernel.data[:, 0])
        nn.init.zeros_(self.kernel_projection.weight)

    def around(self, given: Tensor, size: int, part: Callable[[Tensor], Tensor]) -> Tensor:
        """What a part adds to rows (b, a · r, d) of blocks of r = `size` rows, convolved before and behind it."""
        delta = self.kernel_projection(given).unflatten(2, (2, self.taps, self.num_groups, 1))
        kernels = self.base_kernel.view(2, self.taps, self.num_groups, -1).to(delta.dtype) + delta
        return self._mixed(part(self._mixed(given, kernels[:, :, 0], size)), kernels[:, :, 1], size)

    def _mixed(self, x: Tensor, kernels: Tensor, size: int) -> Tensor:
        """Rows (b, a · r, d) with kernels (b, a · r, taps, groups, d ÷ groups) of their own."""
        rows = x.unflatten(2, (self.num_groups, -1)).unflatten(1, (-1, size))
        kernels = kernels.unflatten(1, (-1, size))
        found = rows * kernels[..., 0, :, :]
        for tap in range(1, self.taps):
            before = nn.functional.pad(rows[:, :, :-tap], (0, 0, 0, 0, tap, 0))
            found = found + before * kernels[..., tap, :, :]
        mixed: Tensor = found.flatten(1, 2).flatten(2)
        return mixed


class ConvolvedLayer(Layer):
    """A layer with convolutions around both of its parts."""

    def __init__(self, form: Form, theta: float, taps: int, group: int) -> None:
        super().__init__(form, theta)
        self.attention_conv, self.mlp_conv = (Convolution(form.hidden_size, taps, group) for _ in range(2))

    def attended(self, given: Tensor, features: Tensor, blocks: Blocks) -> Tensor:
        plain = super().attended
        return self.attention_conv.around(given, blocks.size, lambda rows: plain(rows, features, blocks))

    def mixed(self, given: Tensor, blocks: Blocks) -> Tensor:
        plain = super().mixed
        return self.mlp_conv.around(given, blocks.size, lambda rows: plain(rows, blocks))
