"""Distributions against transformers' own processors."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.config import GenerationConfig
from engine.sampling import _through_torch, displayed, warp

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


@pytest.mark.parametrize("make", [warp, _through_torch], ids=["compiled", "through torch"])
def test_top_p_and_top_k_keep_what_the_definition_says_at_the_border(make: Any) -> None:
    """The smallest set whose share reaches top-p; of equals the lowest ids."""
    equal = torch.zeros(1, 4)
    assert make(equal, GenerationConfig(temperature=1, top_p=0.5), None).tolist() == [[0.5, 0.5, 0, 0]]
    assert make(equal, GenerationConfig(temperature=1, top_p=0.51), None)[0].count_nonzero() == 3
    assert make(equal, GenerationConfig(temperature=1, top_k=1), None).tolist() == [[1, 0, 0, 0]]
    uneven = torch.tensor([[1.0, 3.0, 2.0, 3.0, 2.0]])
    assert make(uneven, GenerationConfig(temperature=1, top_k=3), None)[0].nonzero().flatten().tolist() == [1, 2, 3]
    shares = torch.tensor([[0.1, 0.6, 0.3]]).log()
    kept = make(shares, GenerationConfig(temperature=1, top_p=0.65), None)[0]
    torch.testing.assert_close(kept, torch.tensor([0.0, 2 / 3, 1 / 3]))


def test_top_p_counts_shares_of_what_top_k_has_left() -> None:
    shares = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    kept = warp(shares, GenerationConfig(temperature=1, top_k=2, top_p=0.57))[0]
    torch.testing.assert_close(kept, torch.tensor([1.0, 0.0, 0.0, 0.0]), msg="0.4 of 0.7 is 0.571")


@pytest.mark.parametrize("given", SETTINGS[::5], ids=str)
def test_compiled_distributions_equal_those_through_torch(given: tuple[float, int, float, float]) -> None:
    temperature, top_k, top_p, penalty = given
    config = GenerationConfig(temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=penalty)
    contexts = [[5, 5, 7], [1]]
    for vocab_size in (40, 3000):
        logits = random_logits(2, vocab_size, vocab_size)
        torch.testing.assert_close(
            warp(logits, config, contexts), _through_torch(logits, config, contexts), atol=2e-6, rtol=1e-4
        )


@pytest.mark.parametrize("make", [warp, _through_torch], ids=["compiled", "through torch"])
def test_a_tiny_temperature_is_the_likeliest_token_and_equals_share(make: Any) -> None:
    logits = torch.tensor([[20.0, 1.0, 20.0, -torch.inf]])
    for temperature in (1e-40, 1e-300, 1e-5):
        probs = make(logits, GenerationConfig(temperature=temperature), None)
        assert probs.tolist() == [[0.5, 0, 0.5, 0]]


def test_a_row_has_the_same_bits_whatever_shares_its_pass() -> None:
    logits = random_logits(9, 5000)
    config = GenerationConfig(temperature=0.8, top_k=300, top_p=0.97)
    assert torch.equal(warp(logits, config)[4], warp(logits[4:5], config)[0])


def test_scores_far_below_the_likeliest_are_no_trouble_and_those_that_are_minus_infinity_are_out() -> None:
    logits = torch.tensor([[3e38, -3e38, -torch.inf, 0.0]])
    assert warp(logits, GenerationConfig(temperature=1)).tolist() == [[1, 0, 0, 0]]
    assert warp(logits, GenerationConfig(temperature=1, top_k=3, top_p=0.9)).tolist() == [[1, 0, 0, 0]]


def test_a_context_may_name_a_token_many_times() -> None:
    logits = torch.tensor([[2.0, -2.0, 1.0]])
    config = GenerationConfig(temperature=1, repetition_penalty=2.0)
    wanted = torch.tensor([[1.0, -4.0, 1.0]]).softmax(dim=1)
    torch.testing.assert_close(warp(logits, config, [[0, 1, 1, 0, 0]]), wanted)
