"""Where a model's files are: a folder below assets/, a folder as given, or a hub id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import BadInput, UnknownName
from engine.models.presets import ASSETS, presets

if TYPE_CHECKING:
    from engine.facts import TargetFacts


def locate(source: str) -> str:
    """A folder below assets/, a folder as given, or a hub id as it is. Raises UnknownName."""
    for folder in (ASSETS / source, Path(source).expanduser()):
        if folder.is_dir():
            if not (folder / "config.json").is_file():
                raise BadInput(f"The folder {source} holds no config.json; wanted a Hugging Face model folder.")
            return str(folder)
    looks_like_hub_id = source.count("/") == 1 and not source.startswith((".", "/", "~"))
    if not looks_like_hub_id:
        raise UnknownName("model", source, presets())
    return source


def weights_folder(target: TargetFacts, method: str) -> Path | None:
    """Where a method's weights for a preset's target are; None where the project has trained none."""
    folder = ASSETS / "models" / f"{target.name}-{method}"
    return folder if folder.is_dir() else None
