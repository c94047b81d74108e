"""A drafter's weights folder: read, checked against its target, refused with a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from spoiling import Spoil, cut_off, holding, lacking
from toys import FAMILIES, build, tiny, write_weights

from engine.drafters.heads._weights import find_weights, kinship, missing_reason
from engine.errors import BadInput
from engine.models import Preset, fingerprint_of, kin, locating, weights_folder
from engine.target import Target

TENSORS = {"head.0.weight": torch.ones(4, 3), "head.1.weight": torch.zeros(4, 3)}


def write(folder: Path, tensors: dict[str, torch.Tensor] = TENSORS, **config: Any) -> Path:
    return write_weights(folder, tensors, {"n": 2, **config})


def test_weights_are_read_once_and_again_where_they_changed(llama: Target, tmp_path: Path) -> None:
    folder = write(tmp_path / "w")
    found = find_weights(llama, "medusa", str(folder))
    assert found.number("n") == 2
    assert torch.equal(found.take("head.0.weight", 4, 3), TENSORS["head.0.weight"])
    assert find_weights(llama, "medusa", str(folder)) is found
    write(folder, n=3, more="longer")
    assert find_weights(llama, "medusa", str(folder)).number("n") == 3


def test_matrices_in_bytes_are_their_rows_times_their_scales(llama: Target, tmp_path: Path) -> None:
    tensors = {"a": torch.tensor([[127, -2], [0, 5]], dtype=torch.int8), "a.scale": torch.tensor([0.5, 2.0])}
    found = find_weights(llama, "medusa", str(write(tmp_path / "w", tensors)))
    assert found.take("a", 2, 2).tolist() == [[63.5, -1.0], [0.0, 10.0]]


def test_shards_are_read_by_their_index(llama: Target, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    parts = {name: f"part-{i}.safetensors" for i, name in enumerate(TENSORS)}
    for name, part in parts.items():
        save_file({name: TENSORS[name]}, folder / part)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    assert set(find_weights(llama, "medusa", str(folder)).tensors) == set(TENSORS)
    (folder / "part-1.safetensors").unlink()
    with pytest.raises(BadInput, match=r"part-1\.safetensors are missing"):
        find_weights(llama, "medusa", str(folder))


def test_weights_of_another_target_are_refused_with_both_names(llama: Target, tmp_path: Path) -> None:
    folder = write(tmp_path / "w", target="big-one", target_fingerprint="0123")
    with pytest.raises(BadInput, match=r"big-one \(0123\).*tiny-llama"):
        find_weights(llama, "medusa", str(folder))
    own = write(tmp_path / "own", target="tiny-llama", target_fingerprint=llama.loaded.weights_fingerprint)
    assert find_weights(llama, "medusa", str(own)).tensors


def test_weights_of_the_targets_family_run_and_say_what_they_were_trained_on(
    llama: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "w", target="tiny-llama", target_fingerprint="0123")
    own = llama.loaded.weights_fingerprint
    prints, vocabulary = {"the GGUF file": "0123"}, llama.loaded.vocabulary_fingerprint
    family = Preset("tiny-llama", "", "some/hub-id", vocabulary=vocabulary, fingerprints=prints)
    assert "0123" in missing_reason_of(llama, folder)
    monkeypatch.setattr(kin, "presets", lambda: {"tiny-llama": family})
    found = find_weights(llama, "medusa", str(folder))
    assert kinship(found, llama) == (
        f"The medusa weights were trained on the GGUF file (0123), and tiny-llama has weights {own} of the same "
        "model: the text is as exact, and fewer drafts may be accepted."
    )
    same = write(tmp_path / "same", target="tiny-llama", target_fingerprint=own)
    assert kinship(find_weights(llama, "medusa", str(same)), llama) == ""


def missing_reason_of(target: Target, folder: Path) -> str:
    with pytest.raises(BadInput) as caught:
        find_weights(target, "medusa", str(folder))
    return str(caught.value)


def test_a_target_of_a_family_has_the_familys_weights_by_any_name(
    llama: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    folder = write(tmp_path / "models" / "small-medusa")
    monkeypatch.setattr(locating, "ASSETS", tmp_path)
    assert weights_folder(llama.facts, "medusa") is None
    prints, vocabulary = {"": llama.loaded.weights_fingerprint}, llama.loaded.vocabulary_fingerprint
    family = Preset("small", "", "", vocabulary=vocabulary, fingerprints=prints)
    monkeypatch.setattr(kin, "presets", lambda: {"small": family})
    assert weights_folder(llama.facts, "medusa") == folder
    assert weights_folder(llama.facts, "chimera") is None


WEIGHTS, CONFIG, INDEX = "model.safetensors", "config.json", "model.safetensors.index.json"
SPOILT: dict[str, Spoil] = {
    "cut off": cut_off(WEIGHTS, 8),
    "empty": holding(WEIGHTS, b""),
    "weights of another name": lambda folder: (folder / WEIGHTS).rename(folder / "pytorch_model.bin"),
    "no config": lacking(CONFIG),
    "broken config": holding(CONFIG, '{"n":'),
    "nothing": shutil.rmtree,
    "config of another kind": holding(CONFIG, "[1]"),
    "index without names": holding(INDEX, '{"weight_map": {"a": ["x"], "b": 3}}'),
    "index of another kind": holding(INDEX, '{"weight_map": "model.safetensors"}'),
    "index of no file": holding(INDEX, '{"weight_map": {"a": "\\ud800"}}'),
    "nested": holding(CONFIG, "[" * 100_000),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_folder_is_refused_with_a_sentence(spoil: Spoil, llama: Target, tmp_path: Path) -> None:
    folder = write(tmp_path / "w")
    spoil(folder)
    with pytest.raises(BadInput) as caught:
        find_weights(llama, "medusa", str(folder))
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize("content", ["3", '["x"]', "[[1]]", "[1e999999, null]", "{"])
def test_shares_that_are_none_are_refused(content: str, llama: Target, tmp_path: Path) -> None:
    found = find_weights(llama, "medusa", str(write(tmp_path / "w")))
    (tmp_path / "w" / "shares.json").write_text(content)
    with pytest.raises(BadInput, match="shares"):
        found.shares()


def test_a_missing_tensor_and_a_wrong_shape_are_named(llama: Target, tmp_path: Path) -> None:
    found = find_weights(llama, "medusa", str(write(tmp_path / "w")))
    with pytest.raises(BadInput, match=r"lack head\.7\.weight"):
        found.take("head.7.weight", 4, 3)
    with pytest.raises(BadInput, match=r"\(4, 3\); wanted \(4, 5\)"):
        found.take("head.0.weight", 4, 5)
    for key, low in (("absent", 1), ("n", 3)):
        with pytest.raises(BadInput, match=key):
            found.number(key, low)


def test_a_target_without_weights_says_how_to_train_them(llama: Target) -> None:
    assert "engine train medusa --target tiny-llama" in str(missing_reason(llama, "medusa"))
    assert missing_reason(None, "medusa") is None
    with pytest.raises(BadInput, match="engine train medusa"):
        find_weights(llama, "medusa", "auto")


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "gpt_neox"])
def test_a_fingerprint_tells_weights_apart_and_nothing_else(family: str) -> None:
    """The same before and after a runner changed the model, and in bf16; another for other weights."""
    model = build(FAMILIES[family](), "bfloat16")
    before = fingerprint_of(model)
    assert fingerprint_of(build(FAMILIES[family](), "bfloat16").float()) == before
    assert fingerprint_of(build(FAMILIES[family](), "bfloat16", seed=1)) != before
    assert tiny(family, "bfloat16").weights_fingerprint == before


@pytest.mark.parametrize("family", ["llama", "mixtral", "gpt2"])
def test_a_merged_adapter_changes_the_fingerprint(family: str) -> None:
    """Of rank 1, in one matrix of attention or of the feed-forward layers; embeddings and norms stay as they are."""
    before = fingerprint_of(build(FAMILIES[family]()))
    words = ("q_proj", "v_proj", "down_proj", "c_attn", "mlp.c_proj")
    names = [name for name, _ in build(FAMILIES[family]()).named_parameters() if any(word in name for word in words)]
    names = [name for name in names if name.endswith("weight") or "experts" in name]
    assert len(names) >= 4
    for name in names:
        model = build(FAMILIES[family]())
        matrix = model.get_parameter(name)
        matrix += 0.1 * torch.ones(len(matrix), *[1] * (matrix.ndim - 1)) * matrix.std()
        assert fingerprint_of(model) != before, name


def test_without_a_vocabulary_every_token_is_drafted(llama: Target, tmp_path: Path) -> None:
    folder = write(tmp_path / "w")
    assert find_weights(llama, "medusa", str(folder)).vocabulary(5).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ids", [[], [1, 1], [5], [-1], ["1"], {"1": 1}], ids=str)
def test_a_spoilt_vocabulary_is_refused(ids: Any, llama: Target, tmp_path: Path) -> None:
    folder = write(tmp_path / "w")
    (folder / "vocabulary.json").write_text(json.dumps(ids))
    with pytest.raises(BadInput, match=r"vocabulary\.json is not a list of different token ids below 5"):
        find_weights(llama, "medusa", str(folder)).vocabulary(5)
