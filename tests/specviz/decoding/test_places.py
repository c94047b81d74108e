"""Strangers never read where a model or weights lie, and what they send by name is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import models
from engine.config import GenerationConfig
from engine.events import SessionStarted, to_json
from specviz.decoding.device import Loading, Request
from specviz.decoding.local import LocalDevice
from specviz.decoding.places import Places
from specviz.policy import HOME, PUBLIC, Policy


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """Two of one name."""
    made = [tmp_path / above / "heads" for above in "ab"]
    for folder in made:
        folder.mkdir(parents=True)
    return str(made[0]), str(made[1])


def test_folders_go_by_their_last_part_and_a_number_where_two_are_alike(folders: tuple[str, str]) -> None:
    places = Places([models.STORY, "auto", "Qwen/Qwen3-8B", *folders, folders[0]])
    assert [places.name(folder) for folder in folders] == ["heads", "heads-2"]
    assert [places.place(name) for name in ("heads", "heads-2")] == [*folders]
    assert [places.name(name) for name in (models.STORY, "auto", "Qwen/Qwen3-8B")] == ["story", "auto", "Qwen/Qwen3-8B"]


def test_a_folder_called_as_a_preset_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / models.STORY).mkdir()
    assert Places([str(tmp_path / models.STORY)]).name(str(tmp_path / models.STORY)) == "story-2"


@pytest.mark.parametrize("policy", [PUBLIC, HOME])
def test_a_public_instance_shows_no_path_and_finds_what_is_named(
    policy: Policy, model_folder: Path, draft_folder: Path
) -> None:
    given, draft = str(model_folder), str(draft_folder)
    device = LocalDevice(given, policy=policy, loading=Loading(dtype="fp32", draft=draft), weights=[draft])
    (model, *_), (other, *_) = device.models(), device.draft_models()
    names = (given, draft) if policy is HOME else (model_folder.name, draft_folder.name)
    assert (model, other, device.weights_folders()) == (*names, (names[1],))
    asked = Request("w1 w2", model, "draft_model", {"model": other}, GenerationConfig(4))
    (begun, *_) = device.generate(asked, "a", lambda: False)
    assert isinstance(begun, SessionStarted)
    assert (begun.model, begun.method_options["model"], device.load(model).facts.name) == (*names, model)
    assert (str(model_folder.parent) in to_json(begun)) == (policy is HOME)
