"""Which suites there are: the project's own by the kind of model, the field's where their files are."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from engine import models, suites
from engine.errors import BadInput
from engine.suites import places

STORY = ["chat", "extract", "list", "repair", "repeat", "retell", "story"]
GENERAL = ["ask", "code", "extraction", "maths", "rewriting", "summary", "translation"]


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two suites of the field; the machine's own are out of sight."""
    monkeypatch.delenv(suites.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(places, "_BESIDE", (tmp_path / "inside", tmp_path / "beside"))
    folder = tmp_path / "field"
    (folder / "spec_bench").mkdir(parents=True)
    (folder / "spec_bench" / "question.jsonl").write_text(
        "".join(json.dumps({"category": c, "turns": ["Hi."]}) + "\n" for c in ("stem", "qa"))
    )
    row = {"task_id": "HumanEval/0", "prompt": "def f():", "entry_point": "f"}
    (folder / "HumanEval.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    return folder


def test_all_is_what_ships_for_the_kind_of_model(field: Path) -> None:
    assert suites.own_names("story") == STORY
    assert suites.own_names("general") == GENERAL
    for kind, wanted in (("story", STORY), ("general", GENERAL)):
        asked = suites.questions("all", 1, kind, field)
        assert [question.suite for question in asked] == wanted
    assert [question.suite for question in suites.questions("all", 1)] == STORY


def test_no_two_suites_have_the_same_name() -> None:
    every = [*suites.own_names(), *suites.FIELD, "all"]
    assert len(set(every)) == len(every) == len(STORY) + len(GENERAL) + len(suites.FIELD) + 1


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("story", "story"),
        ("assets/models/story-target", "story"),
        ("/elsewhere/story-target/", "story"),
        ("qwen3-8b", "general"),
        ("somebody/something", "general"),
    ],
)
def test_a_model_is_of_its_presets_kind(model: str, kind: str) -> None:
    assert models.kind_of(model) == kind
    assert {preset.kind for preset in models.presets().values()} == set(suites.OWN)


def test_the_fields_suites_are_found_in_the_folder_that_is_named(field: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert suites.names("story") == STORY
    assert suites.names("story", field) == [*STORY, "spec_bench", "humaneval"]
    found = suites.questions("spec_bench,humaneval", None, "general", field)
    assert [q.suite for q in found] == ["spec_bench", "spec_bench", "humaneval"]
    assert [q.category for q in found] == ["mt_bench", "qa", ""]
    assert found[-1].turns == ("Complete this Python function:\n\ndef f():",)
    monkeypatch.setenv(suites.FOLDER_VARIABLE, str(field))
    assert suites.questions("spec_bench,humaneval") == found
    assert suites.field_names(field / "empty") == [], "a folder that is given comes first"


@pytest.mark.parametrize("place", ["inside", "beside"])
def test_the_fields_suites_are_found_beside_the_project(place: str, field: Path) -> None:
    field.rename(field.with_name(place))
    assert suites.field_names() == ["spec_bench", "humaneval"]


def test_a_suite_that_is_not_found_says_where_it_was_looked_for(field: Path) -> None:
    with pytest.raises(BadInput) as caught:
        suites.questions("mt_bench", None, "general", field)
    assert str(caught.value) == (
        "The suite mt_bench is not part of this project and was not found: looked for mt_bench.question.jsonl or "
        f"mt_bench/question.jsonl in {field}. Name a folder that holds it with --suites FOLDER or SPECVIZ_SUITES."
    )
    with pytest.raises(BadInput, match=r"inside and .*beside\. Name a folder"):
        suites.questions("gsm8k")
