"""The likeliest tokens: torch's own ranking and log-softmax, found by a compiled pass."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.drafters.heads._candidates import likeliest


@given(st.integers(1, 5), st.sampled_from([1, 3, 64, 65, 200]), st.integers(1, 12), st.integers(0, 2**31))
def test_it_is_the_best_of_the_log_softmax(num_rows: int, num_tokens: int, top_k: int, seed: int) -> None:
    scores = 9 * torch.randn(num_rows, num_tokens, generator=torch.Generator().manual_seed(seed))
    tokens, log_probs = likeliest(scores, top_k)
    best = scores.double().log_softmax(dim=1).topk(min(top_k, num_tokens), dim=1)
    assert tokens.tolist() == best.indices.tolist()
    np.testing.assert_allclose(log_probs, best.values, rtol=1e-5, atol=1e-5)


def test_of_equals_the_first_comes_first_and_scores_are_left_alone() -> None:
    scores = torch.zeros(1, 150).bfloat16()
    scores[0, 100] = 1
    before = scores.clone()
    assert likeliest(scores, 4)[0].tolist() == [[100, 0, 1, 2]]
    assert torch.equal(scores, before)
