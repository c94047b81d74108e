"""What of a preset is on this machine: its package's file, a folder converted from it, the Hub's local copy.

Looks only: nothing is converted, fetched or imported.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from transformers.utils.hub import cached_file

from engine.models.presets import Package

HUB_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
"""Without these the Hub's local copy is no model."""


def packaged_file(package: Package) -> Path | None:
    """The GGUF file of an installed package, which is not imported; None where it is not there."""
    module, _, name = package.file.partition("/")
    spec = importlib.util.find_spec(module)
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((path for folder in folders if (path := Path(folder) / name).is_file()), None)


def hub_copy(hub_id: str) -> Path | None:
    """The folder of a model in the Hub's local cache; None where any of its files is not there."""
    try:
        paths = [cached_file(hub_id, name, local_files_only=True) for name in HUB_FILES]
    except OSError:
        return None
    return Path(str(paths[0])).parent
