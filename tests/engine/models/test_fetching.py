"""A hub model's files: what is missing, how far fetching is, and what may go wrong on the way."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from model_folders import refusal

from engine.models import fetching, watch
from tests.engine.models.hub import Hub

RESPONSE: Any = SimpleNamespace(headers={}, request=None)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    return Hub().install(monkeypatch)


def test_only_files_of_the_model_that_are_not_here_are_missing(hub: Hub) -> None:
    assert fetching.missing("a/b").num_bytes == 100
    hub.here = {"config.json"}
    assert fetching.missing("a/b").files == (("model.safetensors", 90),)
    assert fetching.missing("a/b", "flax_model.msgpack").num_bytes == 500
    assert "a/b has no file x.gguf on the Hub" in refusal(lambda: fetching.missing("a/b", "x.gguf"))


def test_fetching_says_how_far_it_is_and_what_came_over_the_line_is_not_counted_twice(hub: Hub) -> None:
    told: list[str] = []
    with watch.watched(watch.Watch(told.append)):
        fetching.bring("a/b")
    assert told == ["Asking the Hub for a/b", *(f"Fetching a/b, 0 MB, {percent} %" for percent in (5, 10, 55, 100))]
    assert hub.fetched == ["config.json", "model.safetensors"]


def test_stop_ends_fetching_in_the_middle_of_a_file(hub: Hub) -> None:
    stops: list[str] = []
    hub.part = stops.append
    waits = watch.Watch(should_stop=lambda: "model.safetensors" in stops)
    with watch.watched(waits), pytest.raises(watch.LoadingStopped, match="Stopped while the model was loading"):
        fetching.bring("a/b")
    assert hub.fetched == ["config.json"]


def test_nobody_who_waits_leaves_fetching_to_whoever_reads(hub: Hub) -> None:
    fetching.bring("a/b")
    assert hub.fetched == []


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (RepositoryNotFoundError("404", response=RESPONSE), "The Hub has no model a/b"),
        (GatedRepoError("403", response=RESPONSE), "is gated: accept its licence"),
        (ConnectionError("no route to host\nmore"), "The Hub cannot be asked for a/b: no route to host."),
    ],
)
def test_what_the_hub_refuses_is_a_sentence(hub: Hub, error: Exception, says: str) -> None:
    hub.error = error
    with watch.watched(watch.Watch(lambda text: None)):
        assert says in refusal(lambda: fetching.bring("a/b"))


def test_a_silent_hub_is_not_needed_for_what_is_here(hub: Hub) -> None:
    hub.error, hub.here = ConnectionError("no route"), {"config.json"}
    with watch.watched(watch.Watch(lambda text: None)):
        fetching.bring("a/b")


def test_a_download_that_breaks_off_names_its_file(hub: Hub) -> None:
    def broken(name: str) -> None:
        raise OSError("connection reset")

    hub.part = broken
    said = refusal(lambda: fetching.fetch(fetching.missing("a/b")))
    assert "config.json of a/b cannot be fetched: connection reset. What was fetched is kept." in said


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fetching.constants, "HF_HUB_CACHE", str(tmp_path / "not" / "there"))
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda path: SimpleNamespace(free=99))
    said = refusal(lambda: fetching.fetch(fetching.missing("a/b")))
    assert f"of disk are free at {tmp_path}" in said
    assert hub.fetched == []
