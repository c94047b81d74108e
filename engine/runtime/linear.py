"""Linear layers in the form that few rows are quickest in: compiled products on a CPU, torch's own elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from engine.runtime.compiled import runs_compiled

_VECTOR = 16
"""torch's elementwise kernels handle this many numbers at once, and what is left of a row differently."""
_PACKED = (torch.bfloat16, torch.float16, torch.float32)


def pack(weight: Tensor, bias: Tensor | None) -> nn.Module:
    """A linear layer (o, i) in the fastest form that its device has for few rows."""
    if runs_compiled(weight.device) and weight.dtype in _PACKED:
        from engine.runtime.cpu.linear import product_of

        return product_of(weight, bias)
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias, requires_grad=False)
    return linear


def pack_linears(model: PreTrainedModel) -> None:
    """Replace the linear layers of a model on a CPU by compiled products; weights stay the same."""
    if not runs_compiled(model.device) or model.dtype not in _PACKED:
        return
    from engine.runtime.cpu.linear import product_of

    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear:
                setattr(module, name, product_of(child.weight, child.bias))
            elif type(child) is Conv1D:
                setattr(module, name, product_of(child.weight.t(), child.bias))


def are_row_invariant(model: PreTrainedModel) -> bool:
    """Whether a packed model's rows are the same bits among any number of rows.

    Not where a product is neither ours nor made a row at a time, as a mixture's experts are (experts.py); and not
    where a width leaves torch's elementwise kernels a remainder.
    """
    from engine.runtime.cpu.experts import has_bare_matrices, runs_row_by_row
    from engine.runtime.cpu.linear import Product

    products = [module for module in model.modules() if isinstance(module, Product)]
    if not products or any(isinstance(module, nn.Linear | Conv1D) for module in model.modules()):
        return False
    if any(has_bare_matrices(module) and not runs_row_by_row(module) for module in model.modules()):
        return False
    return all(size % _VECTOR == 0 for module in products for size in (module.in_features, module.out_features))
