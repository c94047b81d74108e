"""A folder or file of published weights to tensors by name, and its config. Runs nothing that is stored in it.

safetensors are read as they are; `.bin` and `.pt` through torch's weights-only loader, which makes tensors and nothing
else. Knows files; knows no method.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.errors import BadInput

CONFIG_FILE, SAFE, PICKLED = "config.json", ".safetensors", (".bin", ".pt", ".pth")
MOST_CONFIG_CHARS = 1_000_000


def read(source: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and the config that lies beside them, empty where there is none. Raises BadInput."""
    files = _files(source)
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= _tensors(file)
    if not tensors:
        raise BadInput(f"{source} holds no tensors.")
    return tensors, _config(files[0].with_name(CONFIG_FILE))


def _files(source: Path) -> list[Path]:
    """The weights of a folder: safetensors where there are any, since others say the same."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise BadInput(f"There is no file or folder {source}; give one with published weights.")
    for endings in ((SAFE,), PICKLED):
        found = sorted(path for path in source.iterdir() if path.suffix in endings and path.is_file())
        if found:
            return found
    raise BadInput(f"The folder {source} holds no weights; wanted files that end in {', '.join((SAFE, *PICKLED))}.")


def _tensors(file: Path) -> dict[str, Tensor]:
    try:
        found: object = load_file(file) if file.suffix == SAFE else torch.load(file, "cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise BadInput(f"{file} is cut off, no file of tensors, or holds more than tensors ({reason}).") from error
    if isinstance(found, Mapping) and isinstance(inner := found.get("state_dict"), Mapping):
        found = inner
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise BadInput(f"{file} holds something else than tensors by name.")
    return {str(name): value for name, value in found.items()}


def _config(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        text = file.read_text(encoding="utf-8")
        found = json.loads(text) if len(text) <= MOST_CONFIG_CHARS else None
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{file} cannot be read ({error}).") from error
    if not isinstance(found, dict):
        raise BadInput(f"{file} holds no JSON object.")
    return found
