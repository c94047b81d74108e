"""MLP Speculator: the published checkpoint's arithmetic (arXiv 2404.19124)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from toys import VOCAB_SIZE, prompt_ids, write_weights

from engine.drafters.heads._weights import VOCABULARY_FILE, find_weights
from engine.drafters.heads.mlp_speculator.network import Speculator, mixing_ratio
from engine.target import Target
from engine.training.mlp_speculator import FactoredHeads, SpeculatorHeads
from tests.engine.drafters.heads.mlp_speculator.checkpoints import (
    INNER,
    NUM_HEADS,
    WIDTH,
    checkpoint,
    every_kind,
    loaded,
)


def by_hand(folder: Path, hidden: np.ndarray[Any, Any], tokens: list[int], *, is_tied: bool, is_scaled: bool) -> Any:
    """An implementation of its own, float64: scores of each stage when these tokens are chosen."""
    from safetensors.numpy import load_file

    w = {name: tensor.astype(np.float64) for name, tensor in load_file(folder / "model.safetensors").items()}

    def rms(x: Any) -> Any:
        return x / np.sqrt(np.mean(x * x) + 1e-6)

    state_weight = 0.5 ** (0.5 / NUM_HEADS)
    emb_weight = math.sqrt((1 - state_weight**2) * (INNER / 2))
    state = rms(hidden) / math.sqrt(2) if is_scaled else hidden
    found = []
    for i, token in enumerate(tokens):
        own, proj = (0, min(i, 1)) if is_tied else (i, i)
        mixed = w[f"speculator.proj.{proj}.weight"] @ state
        mixed = mixed + emb_weight / state_weight * w[f"speculator.emb.{own}.weight"][token]
        normed = rms(mixed) * w[f"speculator.ln.{own}.weight"] + w[f"speculator.ln.{own}.bias"]
        state = 0.5 * normed * (1 + np.vectorize(math.erf)(normed / math.sqrt(2)))
        found.append(w[f"speculator.head.{own}.weight"] @ state)
    return np.stack(found)


@every_kind
def test_a_checkpoint_gives_the_scores_of_an_independent_implementation(
    is_tied: bool, is_scaled: bool, llama: Target, tmp_path: Path
) -> None:
    """Also where it is told apart from LayerNorm and from tanh-GELU, which change scores by far more."""
    folder = checkpoint(tmp_path / "w", is_tied=is_tied, is_scaled=is_scaled)
    speculator = loaded(llama, folder)
    hidden = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(1))
    tokens = [5, 17, 2]
    state = speculator.first_state(hidden)
    wanted = by_hand(folder, hidden[0].double().numpy(), tokens, is_tied=is_tied, is_scaled=is_scaled)
    for i, token in enumerate(tokens):
        state, scores = speculator.advance(i, state, torch.tensor([token]))
        np.testing.assert_allclose(scores[0].numpy(), wanted[i], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("num_heads", "inner", "ratio"), [(3, 1024, 11.536), (3, 4096, 23.072), (4, 3072, 17.048), (5, 4096, 17.451)]
)
def test_the_mixing_ratio_is_that_of_the_published_models(num_heads: int, inner: int, ratio: float) -> None:
    assert mixing_ratio(num_heads, inner) == pytest.approx(ratio, abs=5e-4)


@pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "untied"])
def test_stages_in_training_score_as_stages_that_draft(is_tied: bool, llama: Target, tmp_path: Path) -> None:
    """Forced along the same tokens."""
    heads = SpeculatorHeads(WIDTH, VOCAB_SIZE, INNER, NUM_HEADS, is_tied=is_tied)
    torch.nn.init.normal_(heads.norm_bias[0])
    folder = write_weights(tmp_path / "w", heads.tensors(), heads.config())
    assert_same_scores(heads, loaded(llama, folder))


def test_stages_behind_the_targets_tables_score_as_in_training(llama: Target, tmp_path: Path) -> None:
    """Some of the target's tokens, of other order than its own."""
    named = [41, 7, 23, 50, 9]
    model = llama.loaded.model
    table, output = model.get_input_embeddings().weight, model.get_output_embeddings().weight[named]
    heads = FactoredHeads(table, output, VOCAB_SIZE, INNER, NUM_HEADS)
    folder = write_weights(tmp_path / "w", heads.tensors(), heads.config())
    (folder / VOCABULARY_FILE).write_text(json.dumps(named))
    speculator = Speculator(find_weights(llama, "mlp_speculator", str(folder)), llama.loaded, "frequent")
    assert speculator.vocabulary.tolist() == named
    assert_same_scores(heads, speculator)


def assert_same_scores(heads: SpeculatorHeads, speculator: Speculator) -> None:
    ids, hidden = torch.tensor([prompt_ids(9)]), torch.randn(1, 8, WIDTH)
    with torch.inference_mode():
        wanted = torch.stack(list(heads.scores(ids, hidden)))
    for place in range(8 - NUM_HEADS):
        state = speculator.first_state(hidden[0, place : place + 1])
        for i in range(NUM_HEADS):
            state, scores = speculator.advance(i, state, ids[0, place + 1 + i : place + 2 + i])
            torch.testing.assert_close(scores[0], wanted[i, 0, place], rtol=1e-4, atol=1e-4)


def test_a_tied_checkpoint_may_repeat_its_tensors(llama: Target, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "w", is_tied=True, is_scaled=True)
    once = loaded(llama, folder)
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    for kind in ("emb.{}.weight", "head.{}.weight", "ln.{}.weight", "ln.{}.bias"):
        for i in (1, 2):
            tensors[f"speculator.{kind.format(i)}"] = tensors[f"speculator.{kind.format(0)}"].clone()
    tensors["speculator.proj.2.weight"] = tensors["speculator.proj.1.weight"].clone()
    repeated = tmp_path / "repeated"
    repeated.mkdir()
    save_file(tensors, repeated / "model.safetensors")
    (repeated / "config.json").write_text((folder / "config.json").read_text())
    twice = loaded(llama, repeated)
    state = torch.randn(2, INNER)
    for i in (1, 2):
        for one, other in zip(*(made.advance(i, state, torch.tensor([3, 4])) for made in (once, twice)), strict=True):
            assert torch.equal(one, other)


@every_kind
@pytest.mark.parametrize("most", [1, 3, 8])
def test_compiled_stages_grow_the_branches_that_torch_does(
    most: int, is_tied: bool, is_scaled: bool, llama: Target, tmp_path: Path
) -> None:
    speculator = loaded(llama, checkpoint(tmp_path / "w", is_tied=is_tied, is_scaled=is_scaled))
    hidden = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(3))
    compiled = speculator.levels(hidden, 7, [4, 3, 2], most)
    assert speculator.compiled is not None
    speculator.compiled = None
    for found, wanted in zip(compiled, speculator.levels(hidden, 7, [4, 3, 2], most), strict=True):
        assert found.tokens.tolist() == wanted.tokens.tolist()
        assert found.parents.tolist() == wanted.parents.tolist()
        np.testing.assert_allclose(found.values, wanted.values, rtol=1e-5, atol=1e-5)
