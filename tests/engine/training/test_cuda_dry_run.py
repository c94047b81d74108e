"""Trainings on a pretended CUDA device: what is stored on the host and what is on the device never mix."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import FAMILIES, VOCAB_SIZE, LetterTokenizer, build, masking, prompt_ids
from toys.fake_cuda import CUDA
from toys.pretend_cuda import moved, pretended_cuda

from engine.training import (
    activations,
    chimera,
    dflash,
    dflash2,
    dspark,
    eagle,
    head_training,
    hidden_transfer,
    hydra,
    layer_sweep,
    medusa,
    mlp_speculator,
    pard,
)
from engine.training.block_heads import begun
from engine.training.layered import Layered
from engine.training.material import Answers, Material
from engine.training.recipes import RECIPES
from engine.training.transfer import solved

END = 5
MAKES: dict[str, Any] = {
    "medusa": lambda material, recipe: medusa.make(material, recipe),
    "mlp_speculator": mlp_speculator.make_fitted,
    "mlp_speculator of a large vocabulary": mlp_speculator.make_fitted,
    "chimera": chimera.make_fitted,
    "eagle": eagle.make_fitted,
    "eagle, first": partial(eagle.make_fitted, version=1),
    "dflash": dflash.make_fitted,
    "dspark": partial(begun, dspark.DSpark),
    "dflash2 of a large vocabulary": partial(begun, dflash2.DFlash2),
    "hydra": partial(hydra.make_fitted, variant=1),
    "hydra++": hydra.make_fitted,
    "hidden_transfer": lambda material, recipe: solved(Layered(material.target), (1, 1, 1), material),
    "its corrections": lambda material, recipe: solved(Layered(material.target), (1, 1), material).corrected(
        material.input_table
    ),
}


def material_on_the_device(folder: Path, monkeypatch: pytest.MonkeyPatch, *, is_large: bool) -> Material:
    model: Any = build(FAMILIES["llama"]())
    rows = torch.tensor([prompt_ids(25, seed=seed) for seed in range(8)])
    hidden = activations.hidden_states(model, rows)
    activations.keep(folder, 0, rows, hidden)
    tokenizer: Any = LetterTokenizer(VOCAB_SIZE, END)
    heldout = [Answers("tell", [(3, rows[0], hidden[0])])]
    found = Material("tiny", moved(model), tokenizer, folder, folder, folder, heldout)
    if is_large:
        monkeypatch.setitem(vars(found), "vocabulary", torch.arange(0, VOCAB_SIZE, 2, device="cuda"))
    return found


@pytest.mark.parametrize("name", MAKES)
def test_heads_are_made_trained_and_measured_where_the_target_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPES["heads", "cpu"]
    with pretended_cuda():
        material = material_on_the_device(tmp_path, monkeypatch, is_large="large" in name)
        heads = MAKES[name](material, recipe)
        job = head_training.HeadTraining("method", recipe, heads, material)
        job.module.to(CUDA)
        (ids, states), *_ = activations.shards(tmp_path, 0)
        with torch.no_grad():
            loss = job.loss(job.module, (ids[:4].to(CUDA), states[:4].float().to(CUDA)))
        assert loss.device.type == "cuda"
        assert torch.isfinite(loss).item()
        assert set(job.evaluate()) == {"first_head", "last_head", "tree_of_32"}


def test_masks_are_learnt_and_measured_where_the_target_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_cuda():
        material = material_on_the_device(tmp_path, monkeypatch, is_large=False)
        draft: Any = moved(masking(build(FAMILIES["llama"](), seed=7)))
        job = pard.MaskFilling(RECIPES["pard", "cpu"], draft, material)
        (ids, states), *_ = activations.shards(tmp_path, 0)
        with torch.no_grad():
            loss = job.loss(job.module, (ids[:4].to(CUDA), states[:4].to(CUDA)))
        assert loss.device.type == "cuda"
        assert torch.isfinite(loss).item()
        assert set(job.evaluate()) == {"first_token", "last_token", "tokens_a_step"}


def test_candidates_of_the_layer_sweep_are_where_the_target_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_cuda():
        material = material_on_the_device(tmp_path, monkeypatch, is_large=False)
        candidates = {"layer 1": solved(Layered(material.target), (1,) * hidden_transfer.NUM_STEPS, material)}
        job = layer_sweep.Comparison("sweep", RECIPES["heads", "cpu"], candidates, material)
        assert job.evaluate()["layer 1, step 1"] >= 0
