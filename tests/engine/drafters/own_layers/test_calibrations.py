"""Which layers a target can spare: what was found is kept for its weights, taken by default, and refused for others."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from toys import create, tiny

from engine.drafters import calibrations
from engine.drafters.calibrations import Calibration
from engine.errors import BadInput
from engine.models import LoadedModel
from engine.target import Target


def model(fingerprint: str = "feed", name: str = "a model") -> LoadedModel:
    return dataclasses.replace(tiny("llama"), weights_fingerprint=fingerprint, name=name)


def found(facts: LoadedModel, *skip: int, num_layers: int = 2) -> Calibration:
    return Calibration(facts.name, facts.weights_fingerprint, num_layers, skip, 1.5, 2.5, True)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(calibrations, "user_cache", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "calibrated"


def test_what_was_found_is_taken_by_default_for_these_weights_alone() -> None:
    ours, other = model(), model("beef", "another")
    assert create("self_speculation", Target(ours)).settings["skip"] == "auto"
    calibrations.keep(found(ours, 0))
    drafter = create("self_speculation", Target(ours))
    assert (drafter.skip, drafter.settings["skip"]) == ({0}, "0"), "a run says which layers it left out"
    assert create("self_speculation", Target(other)).skip == {1}
    assert create("self_speculation", Target(ours), skip="middle").skip == {1}
    assert create("self_speculation", Target(model("")), skip="auto").skip == {1}, "weights that nobody can name"


def test_where_only_another_model_was_calibrated_it_is_named() -> None:
    calibrations.keep(found(model("beef", "/home/somebody/another"), 1))
    with pytest.raises(
        BadInput, match=r"a model was not calibrated; of the models here these were: another\. .*engine"
    ):
        create("self_speculation", Target(model()), skip="calibrated")
    calibrations.keep(found(model(), 1))
    assert create("self_speculation", Target(model()), skip="calibrated").skip == {1}


def test_a_file_of_another_models_is_refused_by_its_name() -> None:
    for theirs in (found(model("beef", "another"), 1), found(model("feed", "deeper"), 3, num_layers=9)):
        path = calibrations.keep(theirs)
        path.rename(path.with_name("self_speculation-feed.json"))
        with pytest.raises(BadInput, match=rf"was made for {theirs.model} .*; a model has 2 layers"):
            create("self_speculation", Target(model()))


@pytest.mark.parametrize("broken", ["[", "{}", '{"skip": 3}', "layer 7", "all layers", "text"])
def test_a_file_that_is_none_of_ours_is_refused(broken: str) -> None:
    row = dataclasses.asdict(found(model(), 1))
    skips = {"layer 7": [7], "all layers": [0, 1], "text": ["<b>"]}
    path = calibrations.keep(found(model(), 1))
    path.write_text(json.dumps({**row, "skip": skips[broken]}) if broken in skips else broken)
    with pytest.raises(BadInput, match=r"self_speculation-feed\.json of a model cannot be read; make it anew"):
        create("self_speculation", Target(model()))


def test_a_cache_that_cannot_be_written_is_said(cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(BadInput, match=r"cannot be kept in .*; name another folder with SPECVIZ_CACHE"):
        calibrations.keep(found(model(), 1))
    with pytest.raises(BadInput, match="has no fingerprint"):
        calibrations.keep(found(model(""), 1))
