"""Presets: targets with the draft models that go with them, by name."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

ASSETS = Path(__file__).resolve().parents[2] / "assets"
STORY = "story"
"""The model that this project trained; tests and the tour run on it."""
DEFAULT_PRESET = STORY


@dataclass(frozen=True)
class Preset:
    """A target with the draft model that goes with it."""

    name: str
    title: str
    target: str
    """Folder below assets/, hub id or path."""
    draft: str | None = None
    note: str = ""


@functools.cache
def presets() -> dict[str, Preset]:
    """The presets of assets/presets.toml by name."""
    rows = tomllib.loads((ASSETS / "presets.toml").read_text())
    return {name: Preset(name=name, **row) for name, row in rows.items()}


def source_of(name: str) -> str:
    """Where a preset's target is to be found; any other name stands for itself."""
    preset = presets().get(name)
    return preset.target if preset else name


def draft_of(name: str) -> str | None:
    """The draft model of a preset, if it names one."""
    preset = presets().get(name)
    return preset.draft if preset else None
