"""Weights by their id on the Hub: fetched once, converted once, and refused with a sentence."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub.errors import RepositoryNotFoundError
from model_folders import refusal
from safetensors.torch import save_file
from toys import VOCAB_SIZE

from engine import cli, drafters, models
from engine.checkpoints import is_hub_id, published, source_of
from engine.drafters.heads import _weights
from engine.models import fetching, kin
from engine.models.presets import Preset
from engine.target import Target

WIDTH, HUB_ID = 64, "maker/medusa-tiny"


def medusa() -> dict[str, torch.Tensor]:
    """Two heads, as vLLM names them."""
    found = {}
    for head in range(2):
        found[f"blocks.{head}.layers.0.weight"] = torch.full((WIDTH, WIDTH), 0.01 * (head + 1))
        found[f"blocks.{head}.layers.0.bias"] = torch.zeros(WIDTH)
        found[f"lm_heads.{head}.weight"] = torch.full((VOCAB_SIZE, WIDTH), 0.02)
    return found


@dataclass
class Hub:
    """One drafter on the Hub, and the local copy of what of it was fetched."""

    shelf: Path
    cache: Path
    version: str = "0123456789abcdef"
    is_silent: bool = False
    num_asked: int = 0
    fetched: list[str] = field(default_factory=list)

    def model_info(self, hub_id: str, **how: Any) -> Any:
        self.num_asked += 1
        if self.is_silent:
            raise ConnectionError("no route")
        if hub_id != HUB_ID:
            raise RepositoryNotFoundError("404", response=SimpleNamespace(headers={}, request=None))  # type: ignore[arg-type]
        files = [SimpleNamespace(rfilename=path.name, size=path.stat().st_size) for path in self.shelf.iterdir()]
        return SimpleNamespace(siblings=files, sha=self.version)

    def download(self, hub_id: str, name: str, tqdm_class: Any) -> str:
        place = self.cache / self.version / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.shelf / name, place)
        self.fetched.append(name)
        return str(place)

    def cached(self, hub_id: str, name: str, revision: str | None) -> str | None:
        place = self.cache / (revision or self.version) / name
        return str(place) if place.exists() else None


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A maker's Medusa heads."""
    made = Hub(tmp_path / "shelf", tmp_path / "hub")
    made.shelf.mkdir()
    save_file(medusa(), made.shelf / "model.safetensors")
    (made.shelf / "config.json").write_text("{}")
    (made.shelf / "README.md").write_text("Read me.")
    monkeypatch.setenv("SPECVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "HfApi", lambda: made)
    monkeypatch.setattr(fetching, "hf_hub_download", made.download)
    monkeypatch.setattr(fetching, "try_to_load_from_cache", made.cached)
    return made


def test_they_are_fetched_converted_and_draft_for_their_target(hub: Hub, llama: Target) -> None:
    drafter: Any = drafters.create("medusa", {"weights": HUB_ID}, llama)
    assert drafter.weights.config["converted_from"] == "vLLM"
    assert sorted(hub.fetched) == ["config.json", "model.safetensors"]  # and nothing else that lies there
    drafters.create("medusa", {"weights": HUB_ID}, llama)
    assert hub.num_asked == 1, "the Hub is asked once for a loaded target"


def test_another_program_converts_nothing_that_is_converted(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    first = published(HUB_ID, "medusa")
    stamp = (first / "config.json").stat().st_mtime_ns
    assert published(HUB_ID, "medusa") == first
    assert (first / "config.json").stat().st_mtime_ns == stamp
    hub.version = "fedcba9876543210"
    assert published(HUB_ID, "medusa") != first, "another version has a folder of its own"


def test_a_silent_hub_is_not_needed_for_what_is_here(hub: Hub) -> None:
    first = published(HUB_ID, "medusa")
    hub.is_silent = True
    assert published(HUB_ID, "medusa") == first


def test_a_silent_hub_without_a_local_copy_is_a_sentence(hub: Hub) -> None:
    hub.is_silent = True
    assert f"The Hub cannot be asked for {HUB_ID}: no route." in refusal(lambda: published(HUB_ID, "medusa"))


def test_what_this_project_trained_is_read_where_it_lies(hub: Hub) -> None:
    told = {"method": "medusa", "target_fingerprint": "abc"}
    (hub.shelf / "config.json").write_text(json.dumps(told))
    assert published(HUB_ID, "medusa") == hub.cache / hub.version


def test_weights_of_another_method_name_it(hub: Hub) -> None:
    assert f"{HUB_ID} holds weights for medusa" in refusal(lambda: published(HUB_ID, "eagle"))


def test_pickled_weights_are_fetched_only_where_there_are_no_others(hub: Hub) -> None:
    torch.save(medusa(), hub.shelf / "medusa_lm_head.pt")
    published(HUB_ID, "medusa")
    assert "medusa_lm_head.pt" not in hub.fetched
    (hub.shelf / "model.safetensors").unlink()
    hub.version = "aa"
    published(HUB_ID, "medusa")
    assert "medusa_lm_head.pt" in hub.fetched


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda shelf: (shelf / "model.safetensors").unlink(), "has no weights on the Hub"),
        (lambda shelf: (shelf / "model.safetensors").write_bytes(b"cut"), "is cut off"),
        (lambda shelf: save_file({"strange": torch.zeros(1)}, shelf / "model.safetensors"), "in no layout"),
    ],
)
def test_what_cannot_be_used_is_a_sentence_and_leaves_nothing_half_made(hub: Hub, change: Any, says: str) -> None:
    change(hub.shelf)
    assert says in refusal(lambda: published(HUB_ID, "medusa"))
    assert not list((hub.cache.parent / "cache").rglob("config.json"))


def test_parts_of_weights_that_are_not_all_there_are_refused(hub: Hub) -> None:
    parts = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (hub.shelf / "model.safetensors.index.json").write_text(json.dumps(parts))
    assert "names 'model-2.safetensors', which is not there" in refusal(lambda: published(HUB_ID, "medusa"))


def test_an_id_that_nobody_has_and_a_folder_that_is_not_there(hub: Hub, llama: Target) -> None:
    said = refusal(lambda: drafters.create("medusa", {"weights": "nobody/nothing"}, llama))
    assert "The Hub has no model nobody/nothing" in said
    said = refusal(lambda: drafters.create("medusa", {"weights": "no such folder"}, llama))
    assert "There is no folder no such folder; give auto, a folder" in said
    assert "the id of published weights on the Hub" in said


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("owner/name", True), ("z-lab/Qwen3-8B-DFlash-b16", True), ("./name", False), ("/a/b", False), ("~/name", False),
     ("owner/../x", False), ("name", False), ("a/b/c", False), ("owner/.name", False)],
)  # fmt: skip
def test_what_may_be_an_id(name: str, is_one: bool) -> None:
    assert is_hub_id(name) == is_one


def test_a_folder_of_this_machine_is_no_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "medusa").mkdir(parents=True)
    assert not is_hub_id("runs/medusa")
    assert source_of("runs/medusa") == Path("runs/medusa")


def test_convert_takes_an_id(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["convert", HUB_ID, str(tmp_path / "mine")]) == 0
    assert "6 tensors in vLLM's layout" in capsys.readouterr().out
    assert (tmp_path / "mine" / "model.safetensors").is_file()


def test_a_presets_published_heads_are_named_where_its_own_lack(llama: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"x": Preset("x", "X", llama.facts.name, heads={"medusa": HUB_ID})}
    monkeypatch.setattr(kin, "presets", lambda: named)
    assert f"published as {HUB_ID}: name that with the option weights" in str(_weights.missing_reason(llama, "medusa"))
    assert "train them" in str(_weights.missing_reason(llama, "eagle"))


def test_every_published_head_is_of_a_method_that_takes_weights() -> None:
    heads = [(name, preset.heads) for name, preset in models.presets().items() if preset.heads]
    assert heads
    for name, known in heads:
        for method, hub_id in known.items():
            assert drafters.get(method).needs.weights, f"{name}: {method}"
            assert is_hub_id(hub_id)
