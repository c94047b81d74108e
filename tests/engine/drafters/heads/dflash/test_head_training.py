"""Training of heads on the block: the drafter's own scores, what is begun with, starts, losses, what stays frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from toys import prompt_ids, write_weights

from engine import drafters
from engine.drafters.heads.dflash.walks import Walked
from engine.errors import BadInput
from engine.training import dflash, dflash2, dspark, eagle, following, taps
from engine.training.activations import hidden_states
from engine.training.block_heads import Headed, rank_for
from engine.training.head_training import _stored
from engine.training.material import Material
from engine.training.recipes import RECIPES
from tests.engine.checkpoints.dflash_layouts import started
from tests.engine.checkpoints.eagle_layouts import plain_model, target

PLACE = 7
KINDS: dict[str, Any] = {"dspark": dspark, "dflash2": dflash2}


@pytest.fixture(autouse=True)
def seed() -> None:
    """Layers begin the same whichever tests came before."""
    torch.manual_seed(1)


def material() -> Material:
    return Material("eight", plain_model(), cast(Any, None), Path(), Path(), Path(), [])


def made(name: str) -> Headed:
    found: Headed = KINDS[name].make(material(), RECIPES[name, "cpu"])
    return found


def loud(name: str) -> Headed:
    """Random weights in which every part matters."""
    heads, generator = made(name), torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in heads.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.3 * noise if parameter.ndim == 1 else noise * 2 * parameter.shape[-1] ** -0.5)
    return heads.requires_grad_(False)


def round_text() -> tuple[Tensor, Tensor]:
    """A text that goes round, in which what comes next is told by what was."""
    ids = torch.randint(0, 12, (4, 8), generator=torch.Generator().manual_seed(1)).repeat(1, 4)
    return ids, hidden_states(plain_model(), ids).float()


@pytest.mark.parametrize("name", KINDS)
def test_every_slot_is_what_the_drafter_finds_behind_the_text(name: str, tmp_path: Path) -> None:
    """Heads, convolutions and candidates: a block at every place at once, and one by itself."""
    heads, ids = loud(name), torch.tensor([prompt_ids(20)])
    hidden = hidden_states(plain_model(), ids).float()
    weights = write_weights(tmp_path / "w", heads.tensors(), heads.config())
    drafter = drafters.create(name, {"weights": str(weights)}, target())
    assert isinstance(drafter, Walked)
    wanted = [scores[0, PLACE] for scores in heads.scores(ids, hidden)]
    started(drafter, ids[0, : PLACE + 2].tolist())
    walk = drafter.network.walk(drafter._foreseen(int(ids[0, PLACE + 1]), 7), is_asked=False)
    for slot, scores in enumerate(wanted):
        step = walk.step(slot, np.zeros(1, np.int64), ids[0, PLACE + 1 + slot : PLACE + 2 + slot].numpy())
        found = walk.logits(step)[0]
        assert found.isfinite().tolist() == scores.isfinite().tolist()
        kept = scores.isfinite()
        torch.testing.assert_close(found[kept], scores[kept], atol=2e-2, rtol=1e-2)


@pytest.mark.parametrize("name", KINDS)
def test_a_trained_block_is_gone_on_from_and_its_own_head_too(name: str, tmp_path: Path) -> None:
    """Also from a file that keeps matrices in bytes; another's tensors are refused."""
    block = dflash.make(material(), RECIPES["dflash", "cpu"])
    heads, other = made(name), loud(name)
    folder = write_weights(tmp_path / "dflash", block.tensors(), block.config())
    before = {key: tensor.clone() for key, tensor in heads.tensors().items()}
    heads.begin_with(folder)
    for key, tensor in heads.tensors().items():
        torch.testing.assert_close(tensor, before[key] if heads.is_added(key) else block.tensors()[key])
    save_file(_stored(other.tensors(), 0), folder / "model.safetensors")
    heads.begin_with(folder)
    for key, tensor in other.tensors().items():
        torch.testing.assert_close(heads.tensors()[key], tensor, atol=0.05, rtol=0.05)
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="does not hold what is trained here"):
        heads.begin_with(folder)


@pytest.mark.parametrize("name", KINDS)
def test_the_fitted_head_lowers_the_loss_and_training_it_alone_leaves_the_block(name: str) -> None:
    heads, (ids, hidden) = made(name), round_text()

    def loss() -> float:
        heads.num_passes.zero_()
        return float(heads(ids, hidden).detach())

    before = loss()
    heads.fit_head(ids, hidden)
    fitted = loss()
    assert fitted < before
    heads.leave_backbone()
    block = {key: tensor.clone() for key, tensor in heads.tensors().items() if not heads.is_added(key)}
    optimizer = torch.optim.AdamW([p for p in heads.parameters() if p.requires_grad], lr=3e-3)
    for _ in range(2):
        heads(ids, hidden).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss() < fitted
    for key, tensor in block.items():
        torch.testing.assert_close(heads.tensors()[key], tensor, atol=0, rtol=0)


def test_what_is_added_makes_of_the_drafters_law_the_targets() -> None:
    """Behind token 0 the target says 1 where the drafter says 2; behind token 3, never met, nothing is added."""
    law, wanted = torch.tensor([[0.2, 0.2, 0.6]]), torch.tensor([[0.2, 0.6, 0.2]])
    many = [(torch.zeros(400, dtype=torch.long), law.expand(400, -1), wanted.expand(400, -1))]
    before, behind = following.factors(many, 4, 3)
    added = before @ behind.T
    found = (law[0].log() + added[0]).softmax(dim=0)
    torch.testing.assert_close(found, wanted[0], atol=0.01, rtol=0.02)
    assert not added[3].any()


def test_confidence_learns_how_much_of_the_targets_law_is_shared() -> None:
    """DSpark's third loss is least where confidence says 1 - TV, and the first two where the laws are one."""
    heads = cast(dspark.DSpark, made("dspark"))
    wanted, label = torch.tensor([[[0.5, 0.5, 0.0]]]), torch.tensor([[0]])
    logits = torch.tensor([[[0.25, 0.5, 0.25]]]).log()

    def loss(logits: Tensor, sure: float) -> float:
        return float(heads._loss(logits, wanted, label, torch.tensor([[sure]]).logit()))

    losses = {sure: loss(logits, sure) for sure in (0.6, 0.75, 0.9)}
    assert min(losses, key=losses.__getitem__) == 0.75
    own = wanted.clamp(min=1e-9).log()
    parts = 0.9 * 0.5 - 0.1 * np.log(0.25) - (0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert losses[0.75] == pytest.approx(parts, rel=1e-4)
    assert loss(own, 0.999) < losses[0.75]


def test_a_token_outside_the_candidates_takes_the_last_place_in_the_selectors_loss() -> None:
    heads = cast(dflash2.DFlash2, made("dflash2").requires_grad_(False))
    unary = torch.linspace(3, 0, 64)[None, None]
    states, before = torch.zeros(1, 1, 64), torch.zeros(1, 1, dtype=torch.long)
    wanted = torch.full((1, 1, 64), 1 / 64)
    inside, outside = (
        float(heads._selected(unary, states, before, wanted, torch.tensor([[label]]))) for label in (0, 63)
    )
    assert np.isfinite(outside)
    assert outside > inside


@pytest.mark.parametrize("kind", [dflash, dspark, dflash2, eagle])
def test_states_of_several_layers_on_disk_give_the_loss_of_those_computed_meanwhile(kind: Any) -> None:
    """Side by side they are wider than the target, whose law is that of the last alone."""
    heads, (ids, last) = kind.make(material(), RECIPES[kind.__name__.rpartition(".")[2], "cpu"]), round_text()
    kept = taps.of_rows(plain_model(), heads.taps, ids, last)
    assert kept.shape[2] == 3 * last.shape[2]
    losses = []
    for hidden in (last, kept):
        heads.num_passes.zero_()
        losses.append(float(heads(ids, hidden).detach()))
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize(
    ("num_tokens", "rank"), [(64, 128), (4_096, 128), (15_625, 128), (15_626, 112), (49_152, 32), (151_936, 32)]
)
def test_rows_of_the_token_before_are_shorter_where_there_are_many(num_tokens: int, rank: int) -> None:
    """A table with 128 numbers for each of SmolLM2's 49,152 tokens would be larger than the block under it."""
    assert rank_for(num_tokens) == rank
