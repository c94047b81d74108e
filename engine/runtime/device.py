"""Which device and dtype to compute in, and what machine this is."""

from __future__ import annotations

import functools
import platform
import re
from pathlib import Path
from typing import Any

import torch

from engine.errors import BadInput, first_line

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
_DRIVER = Path("/proc/driver/nvidia/version")
_BF16 = frozenset(("amx_bf16", "avx512_bf16"))
"""What a processor may multiply bfloat16 with."""
_FIRST_WITH_BF16 = 8
"""Compute capability; cards before it (T4, V100) imitate bfloat16."""
_SHORT = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


def choose_device(given: str = "auto") -> torch.device:
    """The asked-for device, or a GPU where there is one. Raises BadInput where it is not here."""
    if given == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(given)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        exists = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        reason = first_line(error)
        raise BadInput(f"Device {given!r} cannot be used here ({reason}); there are: {', '.join(exists)}.") from error
    return device


def synchronise(device: torch.device) -> None:
    """Wait for a device that works on its own, so that a clock read afterwards tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def release() -> None:
    """Give back what torch holds of GPUs' memory without using it."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def choose_dtype(given: str, device: torch.device) -> torch.dtype:
    """The asked-for dtype, or the fastest one that is safe on the device. Raises BadInput."""
    if given != "auto":
        name = _SHORT.get(given, given)
        if name not in DTYPES:
            raise BadInput(f"Dtype {given!r} is not known; choose one of: {', '.join(['auto', *_SHORT, *DTYPES])}.")
        return DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16 if _card_has_bf16(device) else torch.float16
    return torch.bfloat16 if has_fast_bf16() else torch.float32


def _card_has_bf16(device: torch.device) -> bool:
    """Whether this very card multiplies bfloat16 itself: cards of one machine may differ."""
    return bool(torch.version.hip) or torch.cuda.get_device_capability(device)[0] >= _FIRST_WITH_BF16


def has_fast_bf16() -> bool:
    """Whether this processor multiplies bfloat16 natively (avx512_bf16 or AMX)."""
    return bool(_BF16 & _cpu_flags())


def instructions() -> str:
    """The widest that this processor multiplies with, by the kernel's name for it: tiles before vectors."""
    return min(_BF16 & _cpu_flags(), default=torch.backends.cpu.get_cpu_capability().lower())


@functools.cache
def _cpu_flags() -> frozenset[str]:
    lines = _cpuinfo()
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), "")
    return frozenset(flags.split())


@functools.cache
def _cpuinfo() -> tuple[str, ...]:
    path = Path("/proc/cpuinfo")
    return tuple(path.read_text().splitlines()) if path.is_file() else ()


def processor(device: torch.device) -> str:
    """The device's product name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    names = (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


@functools.cache
def machine(device: torch.device) -> dict[str, Any]:
    """What a figure measured here has to be read with."""
    import transformers

    return {
        **(_gpu(device) if device.type == "cuda" else {}),
        "processor": processor(device),
        "instructions": instructions(),
        "num_threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def _gpu(device: torch.device) -> dict[str, Any]:
    """The card, what drives it, and how many there are."""
    card = torch.cuda.get_device_properties(device)
    driver = re.search(r"Kernel Module\D*([\d.]+)", _DRIVER.read_text()) if _DRIVER.is_file() else None
    return {
        "num_gpus": torch.cuda.device_count(),
        "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
        "gpu_memory": card.total_memory,
        "compute_capability": f"{card.major}.{card.minor}",
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": driver.group(1) if driver else None,
    }
