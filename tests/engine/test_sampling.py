"""Distributions against transformers' own processors, and the session's noise."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from toys import assert_fits
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.config import GenerationConfig
from engine.sampling import Noise, coupled_token, displayed, draw, warp

SETTINGS = list(itertools.product((0.3, 1.0, 2.5), (0, 1, 7, 50), (0.05, 0.6, 0.95, 1.0), (1.0, 1.7, 0.6)))


def random_logits(num_rows: int, vocab_size: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(num_rows, vocab_size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_warping_equals_transformers_own_processors(temperature: float) -> None:
    contexts = [[1, 2, 2, 39], [5], [0, 1, 2, 3, 4]]
    for seed, (given, top_k, top_p, penalty) in enumerate(s for s in SETTINGS if s[0] == temperature):
        logits = random_logits(3, 40, seed)
        config = GenerationConfig(temperature=given, top_k=top_k, top_p=top_p, repetition_penalty=penalty)
        for row, probs in enumerate(warp(logits, config, contexts)):
            processors = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(penalty)])
            processors += [TemperatureLogitsWarper(given)]
            processors += [TopKLogitsWarper(top_k)] if top_k else []
            processors += [TopPLogitsWarper(top_p)] if top_p < 1 else []
            context: Any = torch.tensor([contexts[row]])
            wanted = processors(context, logits[row : row + 1].clone()).softmax(dim=1)[0]
            torch.testing.assert_close(probs, wanted, atol=1e-6, rtol=1e-5)


def test_temperature_zero_is_the_likeliest_token_and_ties_go_to_the_lowest_id() -> None:
    logits = torch.tensor([[0.0, 2.0, 2.0, 1.0], [5.0, 5.0, 5.0, 5.0]])
    assert warp(logits, GenerationConfig()).tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]


def test_greedy_decoding_shows_the_penalised_softmax() -> None:
    logits = random_logits(2, 6)
    shown = displayed(logits, GenerationConfig(repetition_penalty=2.0), [[0], [1]])
    penalised = logits.clone()
    for row in (0, 1):
        score = penalised[row, row]
        penalised[row, row] = score / 2 if score > 0 else score * 2
    torch.testing.assert_close(shown, penalised.softmax(dim=1))


def test_each_row_is_penalised_by_its_own_context() -> None:
    logits = torch.ones(2, 4)
    probs = warp(logits, GenerationConfig(temperature=1.0, repetition_penalty=2.0), [[0], [3, 3]])
    assert probs[0].argmin() == 0
    assert probs[1].argmin() == 3
    assert probs[0, 0] == probs[1, 3]


def test_warping_leaves_its_input_alone() -> None:
    logits = random_logits(1, 8)
    before = logits.clone()
    warp(logits, GenerationConfig(temperature=0.5, top_k=3, top_p=0.5, repetition_penalty=1.5), [[1, 2]])
    assert torch.equal(logits, before)


def test_noise_depends_on_seed_and_place_and_not_on_the_order_of_asking() -> None:
    first, second = Noise(7), Noise(7)
    forwards = [first.gumbel(position, 5).clone() for position in range(6)]
    backwards = [second.gumbel(position, 5).clone() for position in reversed(range(6))]
    assert all(torch.equal(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))
    assert not torch.equal(Noise(8).gumbel(0, 5), forwards[0])
    assert len({tuple(noise.tolist()) for noise in forwards}) == 6


def test_streams_of_one_place_are_unrelated() -> None:
    places = itertools.product(range(4), range(50), range(3))
    draws = {
        torch.rand((), generator=Noise(seed).generator(place, stream), dtype=torch.float64).item()
        for seed, place, stream in places
    }
    assert len(draws) == 600


def test_coupled_draws_follow_the_distribution_at_neighbouring_places_and_seeds() -> None:
    probs = torch.tensor([0.5, 0.3, 0.0, 0.15, 0.05])
    pairs = {"places": torch.zeros(5, 5), "seeds": torch.zeros(5, 5)}
    noise = Noise(3)
    tokens = [coupled_token(probs, noise.gumbel(position, 5)) for position in range(8000)]
    for before, after in itertools.pairwise(tokens):
        pairs["places"][before, after] += 1
    tokens = [coupled_token(probs, Noise(seed).gumbel(11, 5)) for seed in range(8000)]
    for before, after in zip(tokens[::2], tokens[1::2], strict=True):
        pairs["seeds"][before, after] += 1
    for counts in pairs.values():
        assert_fits(counts, torch.outer(probs, probs))


def test_draws_from_weights_follow_them() -> None:
    weights = torch.tensor([3.0, 0.0, 1.0, 6.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    counts = torch.bincount(torch.tensor([draw(weights, generator) for _ in range(8000)]), minlength=4)
    assert_fits(counts, weights / 10)
