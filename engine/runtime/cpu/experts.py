"""Experts and their routers on a CPU, a row at a time.

A mixture of experts keeps its weights as bare tensors and multiplies by them as many rows as the router sends,
so a row's bits would hang on its company. One at a time they do not. It costs what it looks like: rows that go
to other experts read other weights, and a draft saves less here than on a dense model. A prompt's rows, which
plain and drafted decoding share as they are, go through together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from engine.runtime.cpu.linear import Product
from engine.runtime.prompt import is_reading

Forward = Callable[..., Any]


def run_row_by_row(model: PreTrainedModel) -> None:
    """Let the rows of a pass go one by one through what multiplies by weights of its own."""
    if model.device.type == "cpu":
        for module in model.modules():
            if has_bare_matrices(module):
                module.forward = functools.partial(_row_by_row, module.forward)


def has_bare_matrices(module: nn.Module) -> bool:
    """Whether a module multiplies by parameters of its own, and is none of those that are known to be row-invariant."""
    if isinstance(module, nn.Linear | nn.Embedding | Conv1D | Product):
        return False
    return any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))


def runs_row_by_row(module: nn.Module) -> bool:
    """Whether a module has been made to."""
    return isinstance(module.forward, functools.partial)


def _row_by_row(forward: Forward, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """`forward` of states (…, m, h) and of what goes with each row, (…, m, k)."""
    num_rows = x.shape[-2]
    if num_rows < 2 or is_reading():
        return forward(x, *args, **kwargs)

    def row(value: Any, i: int) -> Any:
        return value[..., i : i + 1, :] if isinstance(value, Tensor) and value.shape[-2:-1] == (num_rows,) else value

    found = [
        forward(row(x, i), *(row(value, i) for value in args), **{name: row(v, i) for name, v in kwargs.items()})
        for i in range(num_rows)
    ]
    if isinstance(found[0], Tensor):
        return torch.cat(found, dim=-2)
    return tuple(torch.cat(parts, dim=-2) for parts in zip(*found, strict=True))
