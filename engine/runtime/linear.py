"""Linear layers for passes of few rows on a CPU.

oneDNN with weights packed for 8 rows is faster than torch's own path on 1 to 16 rows, and in
float32 its result for a row does not depend on how many other rows there are, one row included
(docs/log.md, 2026-11-21). Where packing is not to be had, torch's own path is taken.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

PACKED_FOR_ROWS = 8
_PROBED_ROWS = range(1, 193)
_VECTOR = 16
"""Elementwise kernels handle this many numbers at once and the rest differently."""


class PackedLinear(nn.Module):
    """y = x Wᵀ + b with W in oneDNN's own layout. (…, in) → (…, out). Inference only."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), PACKED_FOR_ROWS)
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        return y


@functools.cache
def can_pack(dtype: torch.dtype) -> bool:
    """Whether oneDNN packs weights of this dtype on this processor."""
    try:
        probe = PackedLinear(torch.zeros(16, 16, dtype=dtype), None)
        probe(torch.zeros(1, 16, dtype=dtype))
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return True


def pack(weight: Tensor, bias: Tensor | None) -> nn.Module:
    """A linear layer in the fastest form that this machine has for few rows."""
    if weight.device.type == "cpu" and can_pack(weight.dtype):
        return PackedLinear(weight, bias)
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias, requires_grad=False)
    return linear


def pack_linears(model: PreTrainedModel) -> None:
    """Replace a model's linear layers by packed ones, where this machine can; weights stay the same."""
    if model.device.type != "cpu" or not can_pack(model.dtype):
        return
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear:
                setattr(module, name, PackedLinear(child.weight, child.bias))
            elif type(child) is Conv1D:
                setattr(module, name, PackedLinear(child.weight.t(), child.bias))


def are_row_invariant(modules: Iterable[nn.Module], dtype: torch.dtype) -> bool:
    """Whether each row of each linear shape is the same bits among any number of rows.

    Probed on this machine with random rows; False also where a width leaves elementwise kernels a
    remainder, which they compute differently from whole vectors.
    """
    modules = list(modules)
    layers = {(m.out_features, m.in_features): m for m in modules if isinstance(m, PackedLinear)}
    if not layers or any(isinstance(m, nn.Linear | Conv1D) for m in modules):
        return False
    if any(width % _VECTOR for shape in layers for width in shape):
        return False
    generator = torch.Generator().manual_seed(0)
    return all(_is_invariant(layer, dtype, generator) for layer in layers.values())


@torch.inference_mode()
def _is_invariant(layer: PackedLinear, dtype: torch.dtype, generator: torch.Generator) -> bool:
    rows = torch.randn(max(_PROBED_ROWS), layer.in_features, generator=generator).to(dtype)
    whole = layer(rows)
    return all(torch.equal(layer(rows[:n].contiguous()), whole[:n]) for n in _PROBED_ROWS)
