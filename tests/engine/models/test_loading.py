"""Names to models: what cannot be loaded is refused with a sentence that says what exists."""

from __future__ import annotations

import json
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from model_folders import load, refusal, save_model
from safetensors.torch import load_file, save_file
from spoiling import Spoil, changed, cut_off, holding, lacking

from engine import models
from engine.errors import UnknownName
from engine.models import memory
from engine.runtime.device import choose_device, choose_dtype

CPU = torch.device("cpu")


def test_a_folder_is_loaded_with_its_tokenizer_and_context(model_folder: Path) -> None:
    found = load(model_folder)
    assert found.dtype == torch.float32
    assert found.device == CPU
    assert found.max_context == 256
    assert found.eos_ids == {0}
    assert not any(parameter.requires_grad for parameter in found.model.parameters())


def test_a_model_is_loaded_once_and_shared(model_folder: Path) -> None:
    assert load(model_folder) is load(model_folder)


def test_a_model_that_drafts_for_itself_has_weights_of_its_own(model_folder: Path) -> None:
    target = load(model_folder)
    assert models.load_draft(models.DraftSpec(str(model_folder)), target).model is not target.model


def test_on_a_gpu_a_model_that_drafts_for_itself_is_the_targets(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no compiled runner changes what it is given."""
    monkeypatch.setattr("engine.models.loading.runs_compiled", lambda device: False)
    target = replace(load(model_folder))
    draft = models.load_draft(models.DraftSpec(str(model_folder), max_tokens=64), target)
    assert draft.model is target.model
    assert draft.max_context == 64
    assert models.load_draft(models.DraftSpec(str(model_folder), dtype="bf16"), target).model is not target.model


def test_a_target_may_be_held_to_fewer_tokens(model_folder: Path) -> None:
    found = load(model_folder)
    assert found.held_to(64).max_context == 64
    assert found.held_to(64).model is found.model
    assert found.held_to(0) is found.held_to(9999) is found


@pytest.mark.parametrize("name", ["storyy", "./nowhere", "/no/such/folder", "~/no-such-folder", "a/b/c"])
def test_an_unknown_name_lists_the_presets(name: str) -> None:
    with pytest.raises(UnknownName, match="story"):
        load(name)


@pytest.mark.parametrize("name", ["nobody/nothing", "no body/nothing", "nobody/nothing?", "qwen3-8b"])
def test_a_hub_name_that_cannot_be_fetched_is_refused_and_presets_are_named(name: str) -> None:
    message = refusal(lambda: load(name))
    assert name in message
    assert "story" in message


def lose_a_tensor(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, path, metadata={"format": "pt"})


WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
SPOILT: dict[str, Spoil] = {
    "cut off": cut_off(WEIGHTS, 5000),
    "noise": holding(WEIGHTS, bytes(range(256)) * 20),
    "empty weights": holding(WEIGHTS, b""),
    "no weights": lacking(WEIGHTS),
    "a tensor is missing": lose_a_tensor,
    "another shape": changed(CONFIG, intermediate_size=64),
    "broken config": holding(CONFIG, "{"),
    "unknown architecture": holding(CONFIG, json.dumps({"model_type": "perceptron"})),
    "broken tokenizer": holding(TOKENIZER, "{"),
    "no tokenizer": lacking("*token*"),
    "unknown tokenizer": changed(TOKENIZER, model={"type": "Banana"}),
    "another program's tokenizer": holding(TOKENIZER, json.dumps(["no", "tokenizer"])),
    "unreadable template": holding("chat_template.jinja", b"\xff\xfe\x00{{"),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_folder_is_refused_and_named(spoil: Spoil, folder: Path) -> None:
    spoil(folder)
    assert str(folder) in refusal(lambda: load(folder))


def test_a_folder_without_a_config_says_what_is_wanted(tmp_path: Path) -> None:
    assert "config.json" in refusal(lambda: load(tmp_path))


def test_a_draft_model_with_another_vocabulary_is_refused_with_both_sizes(model_folder: Path, tmp_path: Path) -> None:
    other = save_model(tmp_path / "other", vocab_size=270)
    message = refusal(lambda: models.load_draft(models.DraftSpec(str(other)), load(model_folder)))
    assert "270" in message
    assert "280" in message
    same_size = save_model(tmp_path / "same-size", texts=("zebra zoo zigzag " * 9, "quick queue " * 9))
    assert "vocabulary" in refusal(lambda: models.load_draft(models.DraftSpec(str(same_size)), load(model_folder)))


def test_a_target_without_a_known_draft_model_says_how_to_name_one(model_folder: Path) -> None:
    assert "option model" in refusal(lambda: models.load_draft(models.DraftSpec(), load(model_folder)))


def test_devices_and_dtypes_that_do_not_exist_are_refused_with_those_that_do() -> None:
    assert "cpu" in refusal(lambda: choose_device("tpu"))
    assert "cpu" in refusal(lambda: choose_device("cuda:99"))
    assert "bf16" in refusal(lambda: choose_dtype("int4", CPU))
    assert choose_dtype("fp32", CPU) == choose_dtype("float32", CPU) == torch.float32
    assert choose_dtype("auto", CPU) in (torch.float32, torch.bfloat16)


def test_a_gpu_that_only_imitates_bf16_computes_in_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked of the card that is to compute, whichever else is in the machine."""
    cards = {None: (7, 5), 0: (7, 5), 1: (9, 0)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: cards[device.index])
    assert choose_dtype("auto", torch.device("cuda")) == torch.float16
    assert choose_dtype("auto", torch.device("cuda", 1)) == torch.bfloat16


def test_weights_stored_in_bf16_are_read_so_on_a_processor_without_bf16_units(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.models.loading.has_fast_bf16", lambda: False)
    monkeypatch.setattr("engine.runtime.device.has_fast_bf16", lambda: False)
    assert models.load("story", "cpu").dtype == torch.bfloat16
    assert models.load("story", "cpu", "fp32").dtype == torch.float32
    assert models.load(str(model_folder), "cpu").dtype == torch.float32, "it is stored in float32"


def test_only_the_last_models_stay_without_a_user(tmp_path: Path) -> None:
    folders = [save_model(tmp_path / name) for name in "abc"]
    first, *last = (weakref.ref(found) for found in map(load, folders))
    assert first() is None
    assert all(model() is not None for model in last)


def test_models_that_nobody_uses_can_be_let_go_of(model_folder: Path, draft_folder: Path) -> None:
    used, unused = load(model_folder), weakref.ref(load(draft_folder))
    models.forget()
    assert unused() is None
    assert load(model_folder) is used


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A device whose free memory is what stands first in this list, told one by one."""
    free: list[int] = []
    monkeypatch.setattr(memory, "free_bytes", lambda device: free.pop(0) if free else None)
    return free


def test_unused_models_make_room_for_a_new_one(model_folder: Path, folder: Path, crowded: list[int]) -> None:
    unused = weakref.ref(load(model_folder))
    crowded += [1000, 10**9]
    assert load(folder).device == CPU
    assert unused() is None


def test_a_model_that_does_not_fit_is_refused_before_it_is_read(folder: Path, crowded: list[int]) -> None:
    crowded += [1000, 2_000_000_000]
    (folder / "config.json").write_text(
        json.dumps({**json.loads((folder / "config.json").read_text()), "num_hidden_layers": 200_000})
    )
    message = refusal(lambda: load(folder))
    assert "on cpu" in message
    assert "2.0 GB are free" in message


def test_a_draft_model_may_have_dtype_and_context_of_its_own(model_folder: Path, draft_folder: Path) -> None:
    target = load(model_folder)
    own = models.DraftSpec(str(draft_folder), device="cpu", dtype="bf16", max_tokens=64)
    draft = models.load_draft(own, target)
    assert (draft.dtype, draft.device, draft.max_context) == (torch.bfloat16, CPU, 64)
    assert models.load_draft(own, target) is draft
    shared = models.load_draft(models.DraftSpec(str(draft_folder), max_tokens=9999), target)
    assert (shared.dtype, shared.max_context) == (torch.float32, 256)


def test_a_draft_model_may_fill_in_masks(model_folder: Path, tmp_path: Path) -> None:
    target = load(model_folder)
    config = transformers.BertConfig(
        vocab_size=len(target.tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
    )
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    target.tokenizer.save_pretrained(tmp_path)
    draft = models.load_draft(models.DraftSpec(str(tmp_path), kind="masked"), target)
    assert type(draft.model).__name__ == "BertForMaskedLM"
