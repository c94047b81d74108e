"""Which weights are one family: what a preset lists, and what is called as it is with the same vocabulary."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine import models
from engine.models import kin
from engine.models.presets import Preset

FAMILY = Preset("small", "Small", "some/small", vocabulary="v", fingerprints={"the GGUF file": "1a"})


@pytest.fixture(autouse=True)
def one_family(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Preset("story", "Story", "models/story-target")
    monkeypatch.setattr(kin, "presets", lambda: {"story": other, "small": FAMILY})


def target(name: str, weights: str, vocabulary: str = "v") -> Any:
    return SimpleNamespace(name=name, weights_fingerprint=weights, vocabulary_fingerprint=vocabulary)


@pytest.mark.parametrize(
    ("facts", "is_of_it"),
    [
        (target("small", "1a"), True),
        (target("/some/folder", "1a"), True),
        (target("some/small", "2b"), True),
        (target("small", "2b"), True),
        (target("/some/folder", "2b"), False),
        (target("/downloads/small", "2b"), True),
        (target("/cache/models--some--small/snapshots/1", "2b"), True),
        (target("/cache/models--other--small/snapshots/1", "2b"), False),
        (target("/downloads/small", "2b", vocabulary="w"), False),
        (target("small", "1a", vocabulary="w"), False),
        (target("some/small", "2b", vocabulary="w"), False),
        (target("story", "1a", vocabulary=""), False),
    ],
)
def test_a_family_is_known_by_weights_or_by_name_and_always_by_vocabulary(facts: Any, is_of_it: bool) -> None:
    assert (kin.family_of(facts) is FAMILY) == is_of_it
    assert kin.is_kin("1a", None, facts) == is_of_it


def test_weights_that_no_preset_lists_are_kin_by_their_targets_name_only() -> None:
    ours = target("small", "1a")
    assert kin.is_kin("2b", "small", ours)
    assert kin.is_kin("2b", "some/small", ours)
    assert not kin.is_kin("2b", "large", ours)
    assert not kin.is_kin("2b", None, ours)
    assert not kin.is_kin("2b", "story", target("story", "3c"))


def test_weights_are_called_by_where_they_come_from() -> None:
    assert kin.origin("1a") == "the GGUF file (1a)"
    assert kin.origin("2b") == "weights 2b"


def test_the_preferred_preset_tells_its_family() -> None:
    preset = models.presets()[models.PREFERRED]
    assert preset.vocabulary
    assert preset.fingerprints
    assert preset.package
    assert len(preset.package.sha256) == 64
