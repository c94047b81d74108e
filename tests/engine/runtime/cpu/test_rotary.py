"""Cosines and sines of positions are those of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from toys import FAMILIES, build

from engine.runtime.cpu.rotary import RotaryTables

LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256}
ROPES: dict[str, dict[str, Any]] = {
    "default": {"rope_type": "default", "rope_theta": 10_000.0},
    "another base": {"rope_type": "default", "rope_theta": 1_000_000.0},
    "linear": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0},
    "llama3": {"rope_type": "llama3", "rope_theta": 500_000.0, **LLAMA3},
}


def model_with(rope: dict[str, Any], head_dim: int = 16) -> transformers.PreTrainedModel:
    sizes = {"hidden_size": 32, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.LlamaConfig(
        vocab_size=8, head_dim=head_dim, rope_parameters=rope, max_position_embeddings=100_000, **sizes
    )
    return build(config)


@pytest.mark.parametrize("head_dim", [2, 16, 80, 128])
@pytest.mark.parametrize("name", ROPES)
def test_they_are_those_of_transformers(name: str, head_dim: int) -> None:
    model: Any = model_with(ROPES[name], head_dim)
    positions = [0, 1, 2, 17, 255, 256, 257, 1000, 8191]
    cos, sin = RotaryTables(model).at(positions)
    wanted = model.model.rotary_emb(torch.zeros(1, 1, 1), torch.tensor([positions]))
    for found, whole in zip((cos, sin), wanted, strict=True):
        assert found.shape == (len(positions), head_dim // 2)
        np.testing.assert_allclose(found, whole[0, :, : head_dim // 2], atol=2e-7)


def test_frequencies_differ_as_they_should() -> None:
    """Otherwise the test above would show nothing."""
    sines = [RotaryTables(model_with(rope)).at([1000, 1])[1] for rope in ROPES.values()]
    for i, one in enumerate(sines):
        assert all(np.abs(one - other).max() > 1e-2 for other in sines[:i])


def test_a_position_has_the_same_bits_however_it_is_asked_for() -> None:
    grown, at_once = (RotaryTables(model_with(ROPES["llama3"])) for _ in range(2))
    far = at_once.at([5000, 3, 600])
    for position, index in ((3, 1), (600, 2), (5000, 0)):
        near = grown.at([position])
        for one, many in zip(near, far, strict=True):
            assert np.array_equal(one[0], many[index])
            assert one.flags.c_contiguous
            assert many.flags.c_contiguous


def test_positions_may_repeat_and_stand_in_any_order() -> None:
    tables = RotaryTables(model_with(ROPES["default"]))
    cos, _ = tables.at([7, 3, 7])
    assert np.array_equal(cos[0], cos[2])
    assert np.array_equal(cos[1], tables.at([3])[0][0])
    assert np.array_equal(tables.at(range(3, 8))[0][[4, 0]], cos[:2])


@pytest.mark.parametrize("scaling", [{}, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}])
def test_rotary_tables_are_the_models_own_in_any_order_of_rows(scaling: dict[str, Any]) -> None:
    config = FAMILIES["llama"]()
    config.max_position_embeddings = 2048
    config.rope_parameters = {"rope_theta": 10000.0, "rope_type": "default", **scaling}
    model = build(config)
    for positions in ([3], [0, 7, 5], [1000, 2000, 1999]):  # a shallower node may stand last
        wanted = model.get_decoder().rotary_emb(torch.zeros(1), torch.tensor([positions]))
        found = RotaryTables(model).at(positions)
        for own, theirs in zip(found, wanted, strict=True):
            half = theirs.shape[-1] // 2
            torch.testing.assert_close(torch.from_numpy(own), theirs[0, :, :half], atol=1e-5, rtol=1e-5)
