"""Whoever waits for a model is told how far it is, and may stop it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from model_folders import save_model

from engine import models
from engine.models import converted, loading, watch
from tests.engine.models.gguf_files import write_gguf


def told_of(load: str) -> list[str]:
    told: list[str] = []
    with watch.watched(watch.Watch(told.append)):
        models.load(load, "cpu", "fp32")
    return told


def test_reading_a_folder_is_told_to_whoever_waits(tmp_path: Path) -> None:
    folder = str(save_model(tmp_path / "model", seed=5))
    told = told_of(folder)
    assert told[0] == f"Reading {folder}"
    assert told[-1] == "Loading weights 100 %"


def test_converting_a_gguf_file_is_told_to_whoever_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converted, "user_cache", lambda: tmp_path / "cache")
    told = told_of(str(write_gguf(tmp_path / "tiny.gguf")))
    assert "Converting to bf16, once: 100 %" in told
    assert "Writing tiny in bf16" in told


@pytest.mark.parametrize("ending", ["", "tiny.gguf"])
def test_stop_ends_reading_and_converting_and_leaves_nothing_half_done(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converted, "user_cache", lambda: tmp_path / "cache")
    name = str(write_gguf(tmp_path / ending) if ending else save_model(tmp_path / "model", seed=6))
    told: list[str] = []
    waits = watch.Watch(told.append, lambda: any("%" in text for text in told))
    with watch.watched(waits), pytest.raises(watch.LoadingStopped):
        models.load(name, "cpu", "fp32")
    assert not any("100 %" in text for text in told)
    assert list((tmp_path / "cache").rglob("*.safetensors")) == []
    assert not any(key[0] == name for key in loading._LOADED)
    models.load(name, "cpu", "fp32")


def test_only_what_the_waiting_thread_loads_is_told() -> None:
    seen: list[watch.Watch] = []
    with watch.watched(watch.Watch(lambda text: None)):
        other = threading.Thread(target=lambda: seen.append(watch.current()))
        other.start()
        other.join()
    assert seen == [watch.NOBODY]
    assert watch.current() is watch.NOBODY
