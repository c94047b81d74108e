"""A folder or file of published weights to tensors by name, and its config. Runs nothing that is stored in it.

safetensors are read as they are; `.bin` and `.pt` through torch's weights-only loader, which makes tensors and nothing
else. Knows files; knows no method.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.errors import BadInput

CONFIG_FILE, SAFE, PICKLED = "config.json", ".safetensors", (".bin", ".pt", ".pth")
ENDINGS = (SAFE, *PICKLED)
INDEX = ".index.json"
"""How a file ends that says which of several files holds which tensor."""
MOST_JSON_CHARS = 20_000_000


def read(source: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and the config that lies beside them, empty where there is none. Raises BadInput."""
    files = _files(source)
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= _tensors(file)
    if not tensors:
        raise BadInput(f"{source} holds no tensors.")
    return tensors, config_of(files[0].parent)


def _files(source: Path) -> list[Path]:
    """The weights of a folder: safetensors where there are any, since others say the same."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise BadInput(f"There is no file or folder {source}; give one with published weights.")
    found = weights_among([path.name for path in source.iterdir() if path.is_file()])
    if not found:
        raise BadInput(f"The folder {source} holds no weights; wanted files that end in {', '.join(ENDINGS)}.")
    _check_parts(source, found)
    return [source / name for name in found]


def _check_parts(folder: Path, found: list[str]) -> None:
    """Raises BadInput where one of several files is not there, whose tensors nobody would miss."""
    for index in folder.glob(f"*{Path(found[0]).suffix}{INDEX}"):
        parts = _object(index).get("weight_map")
        named = {str(part) for part in parts.values()} if isinstance(parts, dict) else set()
        if lacking := sorted(named.difference(found)):
            raise BadInput(f"{index} names {lacking[0]!r:.80}, which is not there; fetch it again.")


def weights_among(names: Iterable[str]) -> list[str]:
    """Of a folder's files those that hold its weights."""
    own = sorted(name for name in names if "/" not in name)
    return [name for name in own if name.endswith(SAFE)] or [name for name in own if name.endswith(PICKLED)]


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


def config_of(folder: Path) -> dict[str, Any]:
    """The config of a folder, empty where there is none. Raises BadInput."""
    file = folder / CONFIG_FILE
    return _object(file) if file.is_file() else {}


def _object(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        found = json.loads(text) if len(text) <= MOST_JSON_CHARS else None
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{file} cannot be read ({error}).") from error
    if not isinstance(found, dict):
        raise BadInput(f"{file} holds no JSON object.")
    return found
