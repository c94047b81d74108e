"""Training from a folder of texts to a loadable model, in seconds, on shapes made small."""

from __future__ import annotations

import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine import cli, drafters, models
from engine.config import GenerationConfig
from engine.loop import generate
from engine.target import Target
from engine.training import pretrain, recipes, runs, trainer, written
from tests.engine.training.stories import STORIES


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "stories.txt").write_text("\n\n\n".join(STORIES))
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of the same kind, a thousand times smaller."""
    monkeypatch.setattr(runs, "VOCAB_SIZE", 320)
    for module in (runs, pretrain):
        monkeypatch.setattr(module, "MAX_CONTEXT", 256)
    monkeypatch.setattr(written, "MAX_NEW_TOKENS", 24)
    for (kind, preset), recipe in recipes.RECIPES.items():
        num_tokens = 60_000 if kind == "target" else 6_000
        shape = recipes.Shape(hidden_size=32, num_layers=1, num_heads=2, intermediate_size=48)
        stages = (recipes.Stage(0.0, 32, has_tasks=False), recipes.Stage(0.3, 256))
        tiny = replace(
            recipe,
            shape=shape,
            num_tokens=num_tokens,
            batch_tokens=512,
            stages=stages,
            limit_minutes=1.0,
            num_written=20,
        )
        monkeypatch.setitem(recipes.RECIPES, (kind, preset), tiny)


def train(*words: object) -> int:
    return cli.main(["train", *(str(word) for word in words)])


def losses(out: Path, kind: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (out / "loss.jsonl").read_text().splitlines()]
    return [row for row in rows if kind in row]


def test_a_folder_of_texts_becomes_a_model_that_the_engine_runs(
    small: None, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, draft = tmp_path / "target", tmp_path / "draft"
    assert train("target", "--data", data, "--out", target) == 0
    assert train("draft", "--data", data, "--out", draft, "--target", target, "--texts", "tasks") == 0
    acceptance = json.loads((draft / "acceptance.json").read_text())
    assert {*acceptance["story"]} == {"before", "after"}
    assert all(0 <= share <= 1 for share in acceptance["story"]["after"]["by_position"])
    assert (target / "loss.svg").read_text().count("<polyline") == 2
    assert "![Loss over training tokens](loss.svg)" in (draft / "README.md").read_text()
    assert "agreement" in losses(draft, "heldout_loss")[-1]
    assert re.search("held-?out.loss", capsys.readouterr().out)
    assert losses(target, "heldout_loss")[-1]["heldout_loss"] < math.log(320) - 1
    found = models.load(str(target), "cpu", "fp32")
    assert found.max_context == 256
    assert found.tokenizer.chat_template
    assert models.load_draft(models.DraftSpec(str(draft)), found).dtype == torch.float32
    config = GenerationConfig(max_new_tokens=5)
    assert len(list(generate(Target(found), drafters.create("plain", {}, Target(found)), "A story", config))) == 8


def test_training_goes_on_from_its_checkpoint(
    small: None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that moves a tenth of a second each time that it is looked at ends both parts."""
    recipe = replace(recipes.RECIPES["target", "cpu"], num_tokens=10**9)
    monkeypatch.setitem(recipes.RECIPES, ("target", "cpu"), recipe)
    looks = itertools.count()
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: next(looks) / 10))
    out = tmp_path / "target"
    assert train("target", "--data", data, "--out", out, "--limit-minutes", 0.02) == 0
    before = torch.load(out / "checkpoint.pt", weights_only=True)["progress"]
    assert train("target", "--data", data, "--out", out, "--limit-minutes", 0.05, "--resume") == 0
    after = torch.load(out / "checkpoint.pt", weights_only=True)["progress"]
    assert after["num_steps"] > before["num_steps"] > 0
    assert after["num_tokens"] == 512 * after["num_steps"]
    assert after["seconds"] > before["seconds"]


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C as the step's figures are shown."""
    show = trainer.Trainer._show

    def shown(run: trainer.Trainer, *words: Any) -> None:
        show(run, *words)
        if run.progress.num_steps == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer.Trainer, "_show", shown)


def test_a_run_stopped_and_resumed_ends_in_the_same_bits(
    small: None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(recipes.RECIPES["target", "cpu"], num_tokens=40 * 512, limit_minutes=1000.0)
    monkeypatch.setitem(recipes.RECIPES, ("target", "cpu"), recipe)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train("target", "--data", data, "--out", whole) == 0
    with monkeypatch.context() as interrupted:
        stop_at(17, interrupted)
        assert train("target", "--data", data, "--out", parts) == 0
    assert "--resume" in capsys.readouterr().out
    assert models.load(str(parts), "cpu", "fp32").max_context == 256
    assert train("target", "--data", data, "--out", parts, "--resume") == 0
    one, other = (torch.load(out / "checkpoint.pt", weights_only=True) for out in (whole, parts))
    assert one["progress"]["num_steps"] == other["progress"]["num_steps"] == 40
    for name, tensor in one["model"].items():
        assert torch.equal(tensor, other["model"][name]), name


def test_a_draft_model_stopped_while_it_is_pretrained_is_not_aligned_yet(
    small: None, data: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("draft", "--data", data, "--out", tmp_path / "draft", "--target", model_folder, "--texts", "tasks")
    with monkeypatch.context() as interrupted:
        stop_at(3, interrupted)
        assert train(*words) == 0
    assert (tmp_path / "draft/pretrained/checkpoint.pt").is_file()
    assert not (tmp_path / "draft/written.jsonl").exists()
    assert train(*words, "--resume") == 0
    assert models.load(str(tmp_path / "draft"), "cpu", "fp32").max_context == 256


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(
    small: None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "target"
    with monkeypatch.context() as interrupted:
        stop_at(3, interrupted)
        assert train("target", "--data", data, "--out", out) == 0
    kept = (out / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(trainer.Trainer, "_accumulate_gradients", lambda *_: float("nan"))
    assert train("target", "--data", data, "--out", out, "--resume") != 0
    assert "The loss is nan at step 3; the last checkpoint is kept" in capsys.readouterr().err
    assert (out / "checkpoint.pt").read_bytes() == kept


def test_a_disk_without_room_is_refused_before_training(
    small: None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trainer, "BYTES_PER_PARAMETER", 10**15)
    assert train("target", "--data", data, "--out", tmp_path / "new") == 2
    assert "MB free" in capsys.readouterr().err


def test_going_on_without_a_checkpoint_is_refused(
    small: None, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("target", "--data", data, "--out", tmp_path / "new", "--resume") == 2
    assert "no checkpoint" in capsys.readouterr().err
