"""A target's states of several layers, once computed and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.training import activations, taps


def test_states_of_several_layers_are_kept_beside_their_rows(frozen: tuple[Any, Any], tmp_path: Path) -> None:
    """Those of the layers, then the last; what is there is not computed again."""
    model, _ = frozen
    rows = torch.randint(0, 50, (5, 9), generator=torch.Generator().manual_seed(0))
    rows[2, 6:] = -100
    activations.compute(model, rows, tmp_path / "states")
    (_, last), *_ = activations.shards(tmp_path / "states", seed=0)
    folder = taps.stored(model, [1, 2], tmp_path / "states")
    (ids, found), *more = activations.shards(folder, seed=0)
    assert not more
    assert torch.equal(ids, rows)
    wanted = model(input_ids=rows[:, :-1].clamp(min=0), output_hidden_states=True).hidden_states[1]
    torch.testing.assert_close(found[..., : last.shape[2]].float(), wanted.float(), atol=0.05, rtol=0.02)
    assert torch.equal(found[..., last.shape[2] :], last)
    before = (folder / "00000.safetensors").stat().st_mtime_ns
    assert taps.stored(model, [1, 2], tmp_path / "states") == folder
    assert (folder / "00000.safetensors").stat().st_mtime_ns == before
