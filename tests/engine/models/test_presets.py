"""Presets name models that can be had."""

from __future__ import annotations

from engine import models


def test_every_preset_names_a_model_or_an_embedded_folder() -> None:
    for preset in models.presets().values():
        for source in (preset.target, preset.draft):
            assert source is None or source.count("/") == 1
        assert preset.title
    assert (models.ASSETS / models.presets()["story"].target / "config.json").is_file()
