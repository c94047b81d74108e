"""Presets: targets with the draft models that go with them, by name."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

ASSETS = Path(__file__).resolve().parents[2] / "assets"
DEFAULT_PRESET = "story"


@dataclass(frozen=True)
class Preset:
    """A target with the draft model that goes with it."""

    name: str
    title: str
    target: str
    """Folder below assets/, hub id or path."""
    draft: str | None = None
    note: str = ""
    kind: str = "general"
    """What it was taught: `general`, or `story` and its few tasks. Suites and examples are of a kind."""


@functools.cache
def presets() -> dict[str, Preset]:
    """The presets of assets/presets.toml by name."""
    rows = tomllib.loads((ASSETS / "presets.toml").read_text())
    return {name: Preset(name=name, **row) for name, row in rows.items()}


def source_of(name: str) -> str:
    """Where a preset's target is to be found; any other name stands for itself."""
    preset = presets().get(name)
    return preset.target if preset else name


def kind_of(name: str) -> str:
    """The kind of a preset, or of a folder or hub id whose last part is a preset's target's; else `general`."""
    last = Path(name).name
    return next((p.kind for p in presets().values() if name == p.name or last == Path(p.target).name), "general")


def draft_of(name: str) -> str | None:
    """The draft model of a preset, if it names one."""
    preset = presets().get(name)
    return preset.draft if preset else None
