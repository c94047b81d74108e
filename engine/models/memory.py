"""What a model needs of a device's memory, known before it is loaded, and what is free there.

Headers of safetensors files and configs are read, no weights. All numbers are bytes.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM, PretrainedConfig

_MEMINFO = Path("/proc/meminfo")


MOST_LAYERS = 1_000
"""Of a model whose layers are made to count them: no model has so many, and each takes time."""


def weight_bytes(location: str, config: PretrainedConfig, dtype: torch.dtype, makes: Any = AutoModelForCausalLM) -> int:
    """Of a model's weights in a dtype: counted in its folder's files, or else in what `makes` makes of its config."""
    return (_num_stored(Path(location)) or _num_described(config, makes)) * dtype.itemsize


def kv_bytes(config: PretrainedConfig, dtype: torch.dtype, num_tokens: int) -> int:
    """Of keys and values of so many tokens."""
    text: Any = config.get_text_config()
    num_heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(2 * text.num_hidden_layers * num_heads * head_dim * num_tokens * dtype.itemsize)


def free_bytes(device: torch.device) -> int | None:
    """Free for this process, torch's own reserve included; None where nobody says."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type != "cpu" or not _MEMINFO.is_file():
        return None
    lines = (line.split() for line in _MEMINFO.read_text().splitlines())
    return next((1024 * int(line[1]) for line in lines if line[0] == "MemAvailable:"), None)


def in_gigabytes(num_bytes: int) -> str:
    """As people say it: "16.4 GB"; in MB below a tenth of one."""
    if num_bytes < 1e8:
        return f"{num_bytes / 1e6:.0f} MB"
    return f"{num_bytes / 1e9:.1f} GB"


def _num_stored(folder: Path) -> int:
    """Numbers in a folder's safetensors files; 0 where there are none, or they cannot be read."""
    total = 0
    for path in folder.glob("*.safetensors"):
        try:
            with safe_open(path, framework="numpy") as file:
                names = list(file.keys())
                total += sum(math.prod(file.get_slice(name).get_shape()) for name in names)
        except (SafetensorError, OSError):
            return 0  # the loader says what is wrong
    return total


def _num_described(config: PretrainedConfig, makes: Any) -> int:
    """Parameters of the model that a config describes, made without memory; 0 where it describes none."""
    if not 0 < config.get_text_config().num_hidden_layers <= MOST_LAYERS:
        return 0
    try:
        with torch.device("meta"):
            model: Any = makes.from_config(config)
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError):
        return 0  # likewise
    return sum(parameter.numel() for parameter in model.parameters())
