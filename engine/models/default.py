"""The model where none is named: the preferred preset where it is on this machine, else the embedded one."""

from __future__ import annotations

import os
from dataclasses import dataclass

from engine.errors import BadInput
from engine.models import found
from engine.models.converted import kept
from engine.models.locating import locate
from engine.models.presets import PREFERRED, STORY, Preset, how_to_get, presets

VARIABLE = "SPECVIZ_MODEL"
"""Names the default model in the environment: preset, hub id, folder or GGUF file."""


@dataclass(frozen=True)
class Default:
    """A model's name, and in one line why it is this one; no line where it was named."""

    name: str
    reason: str = ""


def default_model() -> Default:
    """The model to open where none is named. Nothing is fetched; a package's file is converted, once."""
    if named := os.environ.get(VARIABLE):
        return Default(named)
    preset = presets()[PREFERRED]
    place = _place(preset)
    if place is None:
        return Default(STORY, f"Model {STORY}. {how_to_get(preset)}")
    try:
        locate(PREFERRED)
    except BadInput as error:
        return Default(STORY, f"Model {STORY}, since {PREFERRED} cannot be opened. {error}")
    return Default(PREFERRED, f"Model {PREFERRED}, {place}; {STORY} is the other, with --model {STORY}.")


def _place(preset: Preset) -> str | None:
    """Where a preset's model is on this machine, in words; None where it is not."""
    package = preset.package
    if package and found.packaged_file(package):
        return f"from the package {package.name}"
    if package and kept(package.sha256):
        return f"converted earlier from {package.name}"
    return "from the Hub's local copy" if found.hub_copy(preset.target) else None
