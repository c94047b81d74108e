"""Weights of one family: the same model from several places, so that heads trained on one run on the others.

A preset lists them by fingerprint. Weights that it does not list, as the Hub's may be, belong to it by the preset's
name or hub id, or by a folder that is called as a download from the Hub is, together with its vocabulary; their shapes
are checked where heads are read (docs/decisions/0015).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING

from engine.models.presets import Preset, presets

if TYPE_CHECKING:
    from engine.facts import TargetFacts


def family_of(target: TargetFacts) -> Preset | None:
    """The preset whose model a target is, wherever its weights come from; None where no preset tells."""
    for preset in presets().values():
        is_known = preset.vocabulary and (
            _is_called(target.name, preset) or target.weights_fingerprint in preset.fingerprints.values()
        )
        if is_known and target.vocabulary_fingerprint == preset.vocabulary:
            return preset
    return None


def _is_called(name: str, preset: Preset) -> bool:
    """By the preset's name, its hub id, or as a folder that the Hub's own tools have made of it."""
    owner, _, model = preset.target.partition("/")
    parts = PurePath(name).parts
    return name in (preset.name, preset.target) or parts[-1:] == (model,) or f"models--{owner}--{model}" in parts


def is_kin(fingerprint: str, name: object, target: TargetFacts) -> bool:
    """Whether weights of this fingerprint, of a target that was called so, are of a target's family."""
    family = family_of(target)
    if family is None:
        return False
    return fingerprint in family.fingerprints.values() or name in (family.name, family.target)


def published_heads(target: TargetFacts) -> Mapping[str, str]:
    """Ids on the Hub of heads that others have trained for a preset's target, by method; none for other targets."""
    return next((p.heads for p in presets().values() if p.heads and _is_called(target.name, p)), {})


def origin(fingerprint: str) -> str:
    """Weights in words: where they come from, as far as a preset tells, and their fingerprint."""
    places = (place for p in presets().values() for place, own in p.fingerprints.items() if own == fingerprint)
    place = next(places, None)
    return f"{place} ({fingerprint})" if place else f"weights {fingerprint}"
