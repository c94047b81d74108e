"""Hydra's training: its heads are the drafter's, its start by least squares, its two variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import prompt_ids, randomised, write_weights

from engine.drafters.heads.hydra.method import Branches
from engine.errors import BadInput
from engine.training import eagle
from engine.training import hydra as training
from engine.training.activations import hidden_states
from engine.training.material import Material
from engine.training.recipes import RECIPES
from tests.engine.checkpoints.hydra_layouts import opened, plain_model, started, target

PLACE = 7
RECIPE = RECIPES["hydra", "cpu"]
every_variant = pytest.mark.parametrize("variant", [training.PLAIN, training.PLUS])


def material() -> Material:
    return Material("tiny", plain_model(), cast(Any, None), Path(), Path(), Path(), [])


def loud(variant: int) -> training.HydraHeads:
    heads = training.make(material(), RECIPE, variant)
    randomised(heads, 1.5)
    return heads


def text() -> tuple[Tensor, Tensor]:
    ids = torch.tensor([prompt_ids(16)])
    return ids, hidden_states(plain_model(), ids).float()


@every_variant
def test_every_head_is_what_the_drafter_finds_when_it_is_fed_the_text(variant: int, tmp_path: Path) -> None:
    """Places, what a head reads, blocks that are kept once, and the layer's positions and sight."""
    heads, (ids, _) = loud(variant), text()
    drafter = opened(write_weights(tmp_path / "w", heads.tensors(), heads.config()))
    started(drafter, ids[0, : PLACE + 2].tolist())
    hidden = target().prefill(ids[0, :-1].tolist())
    assert hidden is not None
    assert drafter._state is not None
    advance = Branches(drafter.network, drafter._state, 64)
    for head, scores in enumerate(heads.scores(ids, heads.contextual(hidden[0][None]))):
        wanted = scores[0, PLACE].log_softmax(dim=-1)
        tokens, log_probs = advance(head, np.zeros(1, np.int64), ids[0, PLACE + 1 + head : PLACE + 2 + head].numpy())
        assert log_probs[0] == pytest.approx(wanted[torch.from_numpy(tokens[0])].numpy(), abs=1e-3, rel=1e-3)


@every_variant
def test_the_loss_is_that_of_the_scores(variant: int) -> None:
    """Places are chosen behind the layer, which looks at all before them."""
    heads, (ids, hidden) = loud(variant), text()
    soft = (ids[:, 1:, None], torch.ones(1, 15, 1))
    wanted = sum(
        torch.nn.functional.cross_entropy(scores[0], ids[0, 2 + head : 2 + head + scores.shape[1]])
        for head, scores in enumerate(heads.scores(ids, heads.contextual(hidden)))
    )
    for given in (None, soft):
        torch.testing.assert_close(heads(ids, hidden, given), cast(Tensor, wanted))


@every_variant
def test_the_fitted_start_foresees_more_than_an_untrained_one(variant: int) -> None:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 12, (6, 8), generator=generator).repeat(1, 5)
    hidden = hidden_states(plain_model(), ids).float()
    heads = training.make(material(), RECIPE, variant)

    def agreement(head: int) -> float:
        wanted = torch.nn.functional.linear(hidden, heads.output).argmax(dim=-1)
        scores = list(heads.scores(ids, heads.contextual(hidden)))[head]
        return float((scores.argmax(dim=-1) == wanted[:, head + 1 : head + 1 + scores.shape[1]]).float().mean())

    before = [agreement(head) for head in (0, 3)]
    heads.fit(ids, hidden)
    assert all(agreement(head) > was + 0.2 for head, was in zip((0, 3), before, strict=True))


def test_hydra_plus_plus_has_a_layer_deeper_heads_and_the_teachers_loss() -> None:
    plain, plus = (training.make(material(), RECIPE, variant) for variant in (1, 2))
    assert (plain.is_distilled, plus.is_distilled) == (False, True)
    assert [heads.config()["hydra_num_layers"] for heads in (plain, plus)] == [1, 4]
    assert [heads.config()["hydra_head_arch"] for heads in (plain, plus)] == ["mlp", "prefix-mlp"]
    assert {name.split(".")[0] for name in plus.tensors()} == {"hydra_mlp", "prefix"}
    assert {name.split(".")[0] for name in plain.tensors()} == {"hydra_mlp"}


def test_a_variant_that_there_is_not_is_refused() -> None:
    with pytest.raises(BadInput, match="--variant is 3; Hydra has 1"):
        training.make(material(), RECIPE, 3)
    with pytest.raises(BadInput, match="--variant is 2; of EAGLE 1"):
        eagle.make(material(), RECIPE, 2)
