"""DFlash's training: its blocks are the drafter's, anchors, packed texts, weights of slots, its start."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from toys import prompt_ids, randomised, write_weights

from engine import drafters
from engine.drafters.heads.dflash.method import DFlash
from engine.training import block_start
from engine.training import dflash as training
from engine.training.activations import hidden_states
from engine.training.batches import Text
from engine.training.block_layers import Layer
from engine.training.material import Material
from engine.training.packing import rows_with_states
from engine.training.recipes import RECIPES
from engine.training.taps import documents, tapped
from tests.engine.checkpoints.dflash_layouts import started
from tests.engine.checkpoints.eagle_layouts import plain_model, target

PLACE = 7


def made() -> training.DFlash:
    material = Material("eight", plain_model(), cast(Any, None), Path(), Path(), Path(), [])
    return training.make(material, RECIPES["dflash", "cpu"])


def loud() -> training.DFlash:
    dflash = made()
    randomised(dflash)
    return dflash


def text(num: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    ids = torch.tensor([prompt_ids(num, seed=seed)])
    return ids, hidden_states(plain_model(), ids).float()


def test_every_slot_is_what_the_drafter_finds_behind_the_text(tmp_path: Path) -> None:
    """Positions, who sees whom, and which features: a block at every place at once, and one by itself."""
    dflash, (ids, hidden) = loud(), text()
    weights = write_weights(tmp_path / "w", dflash.tensors(), dflash.config())
    drafter = drafters.create("dflash", {"weights": str(weights)}, target())
    assert isinstance(drafter, DFlash)
    wanted = torch.stack([scores[0, PLACE] for scores in dflash.scores(ids, hidden)])
    started(drafter, ids[0, : PLACE + 2].tolist())
    found = drafter.network.scores(drafter._foreseen(int(ids[0, PLACE + 1]), 7))
    torch.testing.assert_close(found.log_softmax(dim=-1), wanted.log_softmax(dim=-1), atol=2e-3, rtol=1e-3)


def packed() -> tuple[Tensor, Tensor, list[Tensor]]:
    """Two texts in a row, as written text is kept, and each by itself."""
    own = [text(12, seed)[0] for seed in (1, 2)]
    texts = [Text(ids[0].tolist(), hidden_states(plain_model(), ids)[0]) for ids in own]
    ids, hidden = rows_with_states(texts, 30)
    return ids, hidden.float(), own


def test_texts_of_a_row_do_not_see_one_another() -> None:
    """Neither the target's states nor a block: the second text is scored as if it stood alone."""
    dflash, (ids, hidden, own) = loud(), packed()
    assert documents(hidden)[0, :24].tolist() == [0] * 12 + [1] * 12
    first = ids[0, :12].tolist() == own[0][0].tolist()
    second = own[1 if first else 0]
    alone = hidden_states(plain_model(), second).float()
    layers = dflash.form.hidden_layers
    both = tapped(plain_model(), layers, ids.clamp(min=0), hidden, documents(hidden))
    torch.testing.assert_close(both[0, 12:23], tapped(plain_model(), layers, second, alone)[0], atol=1e-3, rtol=1e-3)
    wanted = [scores[0, 3] for scores in dflash.scores(second, alone)]
    found = [scores[0, 15] for scores in dflash.scores(ids.clamp(min=0), hidden)]
    torch.testing.assert_close(torch.stack(found), torch.stack(wanted), atol=2e-2, rtol=1e-2)


def test_anchors_are_drawn_anew_among_the_places_that_are_asked() -> None:
    dflash, is_asked = made(), torch.zeros(2, 40, dtype=torch.bool)
    is_asked[0, 5:30] = is_asked[1, 10:13] = True
    drawn = [dflash.draw_anchors(is_asked) for _ in range(3)]
    assert drawn[0].shape == (2, 10)
    assert is_asked[0, drawn[0][0]].all()
    assert set(drawn[0][1, :3].tolist()) == {10, 11, 12}
    assert drawn[0].tolist() != drawn[1].tolist()


def test_a_later_slot_counts_less_by_the_papers_decay() -> None:
    weights = [made().head_weight(slot) for slot in range(3)]
    assert weights == pytest.approx([1, math.exp(-1 / 4), math.exp(-2 / 4)])


def test_the_loss_is_least_for_the_targets_own_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all that could be foreseen: logits that are the target's own cost its entropy alone."""
    dflash, (ids, hidden) = loud(), text()
    loss = dflash(ids, hidden)
    monkeypatch.setattr(training, "TEXT_WEIGHT", 0.0)

    def own(ids: Tensor, hidden: Tensor, places: Tensor) -> Any:
        for slot in range(dflash.num_heads):
            states = hidden.gather(1, (places + slot + 1)[..., None].expand(-1, -1, hidden.shape[2]))
            yield torch.nn.functional.linear(states, dflash.output)

    monkeypatch.setattr(dflash, "foreseen", own)
    assert dflash(ids, hidden) < loss


def test_the_fitted_start_foresees_more_than_an_untrained_one() -> None:
    """On a text that goes round, in which what comes next is linear in what was; also beyond the first slot."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 12, (6, 8), generator=generator).repeat(1, 6)
    hidden = hidden_states(plain_model(), ids).float()
    dflash = made()

    def agreement() -> list[float]:
        wanted = torch.nn.functional.linear(hidden, dflash.output).argmax(dim=-1)
        slots = [scores.argmax(dim=-1) for scores in dflash.scores(ids, hidden)]
        return [float((s == wanted[:, 1 + k : 1 + k + s.shape[1]]).float().mean()) for k, s in enumerate(slots)]

    before = agreement()
    dflash.fit(ids, hidden)
    after = agreement()
    assert after[0] > before[0] + 0.2
    assert after[2] > before[2] + 0.1


def test_at_the_start_head_j_looks_j_places_back_whatever_stands_there() -> None:
    form = made().form
    layer, generator = Layer(form, 10_000.0), torch.Generator().manual_seed(2)
    with torch.no_grad():
        rows = 1 + 0.5 * torch.randn(200, 64, generator=generator)
        block_start._look_back(layer, rows, rows)
        places = torch.arange(30)[None]
        query = layer.self_attn.query(rows[None, :30], places, layer.theta)
        keys, _ = layer.self_attn.key_value(rows[None, 100:130], places, layer.theta)
        found = (query @ keys.mT)[0, :, 20].softmax(dim=-1)
    assert found.argmax(dim=-1).tolist() == [19, 18, 17, 16]


def test_what_stands_before_a_row_is_features_then_the_block() -> None:
    before, rows = torch.arange(3.0).view(1, 3, 1), 10 + torch.arange(4.0).view(1, 4, 1)
    seen = block_start.Sample(before, rows, rows[:, 1:], torch.ones(3)).seen(rows)
    assert seen[0, :, :, 0].tolist() == [[2, 1, 0], [10, 2, 1], [11, 10, 2], [12, 11, 10]]
