"""Weights in eight or four bits, by transformers and bitsandbytes where that is installed."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from engine.errors import BadInput

BITS = {"int8": 8, "int4": 4}
"""Dtypes that are no torch.dtype: what products' weights are held in."""
PACKAGE = "bitsandbytes"
_SHARE_KEPT = 0.15
"""Of a model's numbers, those that stay in the dtype of its passes: embeddings, norms and the output layer."""


def settings(kind: str, device: torch.device, dtype: torch.dtype) -> Any:
    """How transformers is to quantise a model whose passes are in `dtype`.

    Raises BadInput where the package or a GPU is missing.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise BadInput(
            f"--dtype {kind} needs a package that is not installed: pip install {PACKAGE}; without it there are bf16, "
            "fp16 and fp32."
        )
    if device.type != "cuda":
        raise BadInput(f"--dtype {kind} needs a CUDA device, and the model is to run on {device}; choose bf16 or fp32.")
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def num_bytes(kind: str, num_bytes_whole: int, dtype: torch.dtype) -> int:
    """About what is left of a model's bytes in `dtype`."""
    kept = _SHARE_KEPT * num_bytes_whole
    return int(kept + (num_bytes_whole - kept) * BITS[kind] / (8 * dtype.itemsize))
