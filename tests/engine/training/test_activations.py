"""Hidden states that a training reads from the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import BadInput
from engine.training import activations


def test_stored_hidden_states_give_the_targets_own_scores(frozen: tuple[Any, Any], tmp_path: Path) -> None:
    model, _ = frozen
    rows = torch.randint(0, 50, (5, 9), generator=torch.Generator().manual_seed(0))
    activations.compute(model, rows, tmp_path)
    (ids, hidden), *more = activations.shards(tmp_path, seed=0)
    assert not more
    assert torch.equal(ids, rows)
    expected = model(input_ids=rows[:, :-1]).logits
    found = model.get_output_embeddings()(hidden.to(model.dtype))
    torch.testing.assert_close(found.float(), expected.float(), atol=0.05, rtol=0.02)
    before = (tmp_path / "00000.safetensors").stat().st_mtime_ns
    activations.compute(model, rows, tmp_path)
    assert (tmp_path / "00000.safetensors").stat().st_mtime_ns == before


def test_the_disk_that_hidden_states_need_is_said_first(
    frozen: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(activations, "BYTES_PER_NUMBER", 10**15)
    with pytest.raises(BadInput, match="MB free"):
        activations.compute(frozen[0], torch.zeros(2, 3, dtype=torch.long), tmp_path)
    assert "take" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.safetensors"))
