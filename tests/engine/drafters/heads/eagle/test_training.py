"""EAGLE's training: its steps are the drafter's, its start by least squares, its losses."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import prompt_ids, randomised, write_weights

from engine import drafters
from engine.drafters.heads.eagle.method import Eagle
from engine.training import activations
from engine.training import eagle as training
from engine.training.activations import hidden_states
from engine.training.batches import Text
from engine.training.eagle_layer import Layer
from engine.training.material import Answers, Material
from engine.training.packing import rows_with_states
from engine.training.recipes import RECIPES, Progress
from engine.training.taps import of_rows
from tests.engine.checkpoints.eagle_layouts import plain_model, started, target

PLACE = 7


def made(version: int) -> training.Eagle:
    material = Material("eight", plain_model(), cast(Any, None), Path(), Path(), Path(), [])
    return training.make(material, RECIPES["eagle", "cpu"], version)


def loud(version: int) -> training.Eagle:
    eagle = made(version)
    randomised(eagle)
    return eagle


def text() -> tuple[Tensor, Tensor]:
    ids = torch.tensor([prompt_ids(16)])
    return ids, hidden_states(plain_model(), ids).float()


@pytest.mark.parametrize("version", [1, 3])
def test_every_step_is_what_the_drafter_finds_when_it_is_fed_the_text(version: int, tmp_path: Path) -> None:
    """Positions, what a later step sees, and what a step hands the next."""
    eagle, (ids, _) = loud(version), text()
    drafter = drafters.create("eagle", {"weights": str(write_weights(tmp_path / "w", *parts(eagle)))}, target())
    assert isinstance(drafter, Eagle)
    started(drafter, ids[0, : PLACE + 2].tolist())
    target().hidden_layers = (-1,)
    hidden = target().prefill(ids[0, :-1].tolist())
    assert hidden is not None
    scores = [s[0, PLACE].log_softmax(dim=-1) for s in eagle.scores(ids, hidden[0][None])]
    advance = drafter._advance(64)
    for step, wanted in enumerate(scores):
        found = advance(step, np.zeros(1, np.int64), ids[0, PLACE + 1 + step : PLACE + 2 + step].numpy())
        assert found[1][0] == pytest.approx(wanted[torch.from_numpy(found[0][0])].numpy(), abs=1e-3, rel=1e-4)


def packed() -> tuple[Tensor, Tensor, Tensor]:
    """Two texts in a row, as written text is kept, and the ids of the second by itself."""
    own = [torch.tensor([prompt_ids(12, seed=seed)]) for seed in (1, 2)]
    ids, hidden = rows_with_states([Text(o[0].tolist(), hidden_states(plain_model(), o)[0]) for o in own], 30)
    return ids, hidden.float(), ids[:, 12:24]


@pytest.mark.parametrize("version", [1, 3])
def test_texts_of_a_row_do_not_see_one_another(version: int) -> None:
    """Neither in the target's layers nor in EAGLE's: the second text is scored as if it stood alone."""
    eagle, (ids, hidden, second) = loud(version), packed()
    alone = hidden_states(plain_model(), second).float()
    wanted = [scores[0, 3] for scores in eagle.scores(second, alone)]
    found = [scores[0, 15] for scores in eagle.scores(ids.clamp(min=0), hidden)]
    torch.testing.assert_close(torch.stack(found), torch.stack(wanted), atol=2e-2, rtol=1e-2)


def test_states_of_several_layers_may_be_given_or_found_anew() -> None:
    eagle, (ids, hidden, _) = loud(3), packed()
    every = of_rows(plain_model(), eagle.taps, ids, hidden)
    assert every.shape[2] == 3 * hidden.shape[2]
    eagle.num_passes.zero_()
    loss = eagle(ids, hidden)
    eagle.num_passes.zero_()
    assert eagle(ids, every).item() == pytest.approx(loss.item(), rel=1e-5)


def test_material_of_heads_that_tap_holds_every_state_once_found(tmp_path: Path) -> None:
    """Of the answers that are learnt from, and of those held out."""
    ids, hidden, _ = packed()
    activations.keep(tmp_path / "states", 0, ids, hidden.bfloat16())
    heldout = [Answers("answers", [(3, ids[0, :12], hidden[0, :11])])]
    own = Material("eight", plain_model(), cast(Any, None), Path(), tmp_path / "states", tmp_path / "states", heldout)
    assert own.tapping((8,)) is own
    material = own.tapping((2, 4, 8))
    (((_, given),),) = itertools.islice(material.batches(RECIPES["eagle", "cpu"], Progress()), 1)
    assert given.shape == (1, 30, 3 * hidden.shape[2])
    assert torch.equal(given[..., -hidden.shape[2] :], hidden.bfloat16())
    assert material.heldout[0].rows[0][2].shape == (11, 3 * hidden.shape[2])
    assert material.text == material.written


def parts(eagle: training.Eagle) -> tuple[dict[str, Tensor], dict[str, Any]]:
    return eagle.tensors(), eagle.config()


@pytest.mark.parametrize("version", [1, 3])
def test_the_fitted_start_foresees_more_than_an_untrained_one(version: int) -> None:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 12, (6, 8), generator=generator).repeat(1, 5)
    hidden = hidden_states(plain_model(), ids).float()
    eagle = made(version)

    def agreement() -> float:
        wanted = torch.nn.functional.linear(hidden, eagle.output).argmax(dim=-1)
        scores = next(iter(eagle.scores(ids, hidden)))
        return float((scores.argmax(dim=-1) == wanted[:, 1 : 1 + scores.shape[1]]).float().mean())

    before, loss = agreement(), eagle(ids, hidden).item()
    eagle.fit(ids, hidden)
    assert agreement() > before + 0.2
    assert eagle(ids, hidden).item() < loss


def test_the_start_of_attention_adds_what_was_solved_for() -> None:
    """Of as high a rank as values have, on one of the heads that share them; a row's own key fits it best."""
    form = made(3).form
    layer, generator = Layer(form, 10_000.0), torch.Generator().manual_seed(2)
    rank = form.num_key_value_heads * form.head_dim
    solution = torch.randn(64, rank, generator=generator) @ torch.randn(rank, 128, generator=generator)
    layer.begin_with(solution)
    given = torch.randn(1, 5, 128, generator=generator)
    places = torch.zeros(1, 5)
    keys, values = layer.key_value(given, places)
    added = layer.self_attn.o_proj(values.transpose(1, 2).flatten(2))
    torch.testing.assert_close(added, given @ solution.T, atol=1e-2, rtol=1e-3)
    assert (layer.query(given, places) @ keys.mT).argmax(dim=-1).tolist() == [[[0, 1, 2, 3, 4]] * 4]


def test_eagle_1_learns_states_and_eagle_3_the_targets_distribution_alone() -> None:
    """A state that is far off costs the one; what it is scored as costs both."""
    ids, hidden = text()
    losses = {version: loud(version) for version in (1, 3)}
    assert {version: eagle.config()["hidden_layers"] for version, eagle in losses.items()} == {1: [8], 3: [2, 4, 8]}
    losses[1].layers[0].mlp.down_proj.weight *= 100  # type: ignore[union-attr,operator]
    assert losses[1](ids, hidden) > 100 > 0.1 * float(losses[3](ids, hidden))
