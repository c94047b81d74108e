"""Beside a target in bf16 compiled heads read their matrices as bytes, and find what torch's layers find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import tiny

from engine.drafters.heads._compiled import Scaled
from engine.drafters.heads._weights import find_weights
from engine.drafters.heads.chimera.compiled import CompiledNetwork
from engine.drafters.heads.chimera.method import load_network
from engine.drafters.heads.chimera.network import TorchNetwork, read_weights
from engine.drafters.heads.mlp_speculator.network import Speculator
from engine.target import Target
from tests.engine.drafters.heads.chimera.parts import loud_weights
from tests.engine.drafters.heads.mlp_speculator.checkpoints import WIDTH, checkpoint

TOLERANCE = 0.1
"""Of log-probabilities, whose scores are about as large as 3."""


@pytest.fixture(scope="module")
def target() -> Target:
    return Target(tiny("llama", "bfloat16"))


def maps_of(record: Any) -> list[Scaled]:
    """All linear maps in a record of weights, or in a network."""
    parts = record if isinstance(record, tuple) else vars(record).values()
    found = [part for part in parts if isinstance(part, Scaled)]
    return found + [part for part in parts if isinstance(part, list) for part in part if isinstance(part, Scaled)]


def test_stages_of_the_mlp_speculator(target: Target, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "w", is_tied=False, is_scaled=True)
    speculator = Speculator(find_weights(target, "mlp_speculator", str(folder)), target.loaded)
    assert speculator.compiled is not None
    maps = maps_of(speculator.compiled._stages)
    assert [part.numbers.dtype for part in maps] == [np.int8] * 3
    hidden = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(3))
    found = speculator.levels(hidden, 7, [64, 1], 1)
    speculator.compiled = None
    for level, wanted in zip(found, speculator.levels(hidden, 7, [64, 1], 1), strict=True):
        assert by_token(level.tokens, level.values) == pytest.approx(by_token(wanted.tokens, wanted.values), abs=0.1)


def test_chimeras_network(target: Target, tmp_path: Path) -> None:
    weights = find_weights(target, "chimera", str(loud_weights(tmp_path / "w")))
    network = load_network(weights, target.loaded, target.runner.output_layer)
    assert isinstance(network, CompiledNetwork)
    assert {part.numbers.dtype.name for part in (*maps_of(network), *maps_of(network._layer))} == {"int8"}
    plain = TorchNetwork(read_weights(weights), target.loaded, target.runner.output_layer, network.vocabulary)
    state = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(3))
    results = []
    for form in (network, plain):
        grams = form.grams([(3, 4, 5), (4, 5, 6)])
        mask, columns = torch.ones(1, 0, dtype=torch.bool), torch.tensor([1, 3])
        encoded = form.context(64).encode(grams.float(), 1, torch.tensor([0, 1]), columns, 4, mask)
        tokens, log_probs = form.likeliest(0, form.known_part(state)[0].to(encoded.dtype), encoded, 64)
        results.append((grams.float(), encoded.float(), by_token(tokens[0], log_probs[0])))
    (grams, encoded, ranked), (its_grams, its_encoded, its_ranked) = results
    torch.testing.assert_close(grams, its_grams, atol=TOLERANCE, rtol=0.02)
    torch.testing.assert_close(encoded, its_encoded, atol=TOLERANCE, rtol=0.02)
    assert ranked == pytest.approx(its_ranked, abs=TOLERANCE)


def by_token(tokens: Any, log_probs: Any) -> dict[int, float]:
    return dict(zip(tokens.tolist(), log_probs.tolist(), strict=True))
