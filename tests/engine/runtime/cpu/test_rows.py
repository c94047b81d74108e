"""What happens to a row between products: near float64, and the same for a number wherever it stands."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_parts import BITS, drawn, exponentiated, gated, rounded, scale, turned

EPS = 2.0**-23


def spread_numbers(count: int, low: float, high: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, count).astype(np.float32)


def test_powers_are_those_of_e() -> None:
    scores = np.concatenate([np.zeros(1, np.float32), spread_numbers(20_000, -79.9, 0), spread_numbers(5_000, -1, 0)])
    found, _ = exponentiated(scores)
    np.testing.assert_allclose(found, np.exp(scores.astype(np.float64)), rtol=1.5 * EPS)
    assert found[0] == 1


def test_a_power_below_what_counts_is_exactly_zero() -> None:
    scores = np.array([0, -80, np.nextafter(np.float32(-80), np.float32(0)), -80.1, -100, -1e30, -np.inf], np.float32)
    found, _ = exponentiated(scores)
    assert found[2] > 0
    assert not found[[1, 3, 4, 5, 6]].any()
    assert not np.signbit(found).any()


@given(st.integers(1, 100), st.integers(0, 2**31))
def test_softmax_is_near_its_formula_for_any_number_of_columns(num_columns: int, seed: int) -> None:
    scores = spread_numbers(num_columns, -30, 30, seed)
    found, total = exponentiated(scores)
    exact = np.exp(scores.astype(np.float64) - scores.max())
    np.testing.assert_allclose(found / np.float32(total), exact / exact.sum(), rtol=40 * EPS, atol=1e-30)


def test_scores_that_are_no_numbers_are_not_taken_for_some() -> None:
    for scores in ([1.0, np.nan, 2.0], [np.inf, 1.0], [np.inf, np.inf], [-np.inf]):
        _, total = exponentiated(np.array(scores, np.float32))
        assert np.isnan(total), scores
    found, total = exponentiated(np.array([-np.inf, 3.0], np.float32))
    assert found.tolist() == [0, 1]
    assert total == 1


@pytest.mark.parametrize("shift", [1, 5, 15, 16, 31])
def test_a_number_gives_the_same_bits_wherever_it_stands(shift: int) -> None:
    x, y = spread_numbers(67, -20, 20), spread_numbers(67, -3, 3, seed=1)
    moved_x, moved_y = np.roll(x, shift), np.roll(y, shift)
    assert np.array_equal(np.roll(exponentiated(x)[0], shift), exponentiated(moved_x)[0])
    assert np.array_equal(np.roll(gated(x, y), shift), gated(moved_x, moved_y))


@pytest.mark.parametrize("behind", [1, 7, 16, 40])
def test_a_sum_does_not_depend_on_what_could_stand_behind_it(behind: int) -> None:
    x = spread_numbers(50, -5, 5)
    low = np.concatenate([x, np.full(behind, -1e4, np.float32)])
    assert exponentiated(x)[1] == exponentiated(low)[1]


def test_activation_is_near_its_formula() -> None:
    gate = np.concatenate([spread_numbers(20_000, -79, 79), spread_numbers(2_000, -1, 1), np.zeros(3, np.float32)])
    up = spread_numbers(len(gate), -3, 3, seed=1)
    exact = gate.astype(np.float64)
    np.testing.assert_allclose(gated(gate, up), exact / (1 + np.exp(-exact)) * up, rtol=5 * EPS, atol=1e-37)


def test_activation_at_its_ends() -> None:
    gate = np.array([-np.inf, -1e30, -81, 81, 1e30, np.inf, np.nan], np.float32)
    found = gated(gate, np.ones(7, np.float32))
    assert np.isnan(found[0]), "infinity times nothing, as the library has it"
    assert not found[1:3].any()
    assert found[3:6].tolist() == [81, np.float32(1e30), np.inf]
    assert np.isnan(found[6])


@pytest.mark.parametrize("num", [1, 15, 16, 17, 80, 576, 577])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e6])
def test_norms_are_near_their_formula(num: int, size: float) -> None:
    x = (size * drawn(num, seed=num)).numpy()
    exact = 1 / np.sqrt((x.astype(np.float64) ** 2).mean() + 1e-5)
    np.testing.assert_allclose(scale(x), exact, rtol=20 * EPS)


def test_the_norm_of_nothing_is_that_of_epsilon() -> None:
    np.testing.assert_allclose(scale(np.zeros(9, np.float32), 1e-6), 1e3, rtol=2 * EPS)


@pytest.mark.parametrize("half", [1, 4, 8, 20, 32, 40, 64])
def test_rotations_are_near_their_formula(half: int) -> None:
    x, angles = drawn(2 * half).numpy(), drawn(half, seed=1).numpy()
    cos, sin = np.cos(angles), np.sin(angles)
    low, high = x[:half].astype(np.float64), x[half:].astype(np.float64)
    exact = np.concatenate([low * cos - high * sin, high * cos + low * sin])
    np.testing.assert_allclose(turned(x, cos, sin), exact, rtol=2 * EPS, atol=2 * EPS)
    assert np.array_equal(turned(x, np.ones(half, np.float32), np.zeros(half, np.float32)), x)


def every_kind() -> np.ndarray:
    """Each bfloat16 with what may stand below its last place: nothing, ties, their neighbours, all ones."""
    upper = np.arange(2**16, dtype=np.uint32) << np.uint32(16)
    lower = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    return (upper[:, None] | lower[None, :]).reshape(-1).view(np.float32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("tail", [0, 5])
def test_every_kind_of_number_is_rounded_as_the_library_rounds_it(dtype: torch.dtype, tail: int) -> None:
    """Ties, infinities, both zeros, the largest, denormals; and what is not a number stays none."""
    numbers = every_kind()[: 2**16 * 6 - tail]
    wanted = torch.from_numpy(numbers).to(dtype)
    found = numbers.copy()
    rounded(found, np.zeros(len(numbers), BITS[dtype]), False)
    is_none = np.isnan(numbers)
    assert np.isnan(found[is_none]).all()
    assert np.array_equal(found[~is_none].view(np.int32), wanted.float().numpy()[~is_none].view(np.int32))


@settings(max_examples=20)
@given(st.integers(0, 70), st.integers(0, 99))
def test_bits_are_those_of_the_rounded_numbers(num: int, seed: int) -> None:
    row, bits = drawn(num, seed=seed).numpy(), np.zeros(num, np.uint16)
    wanted = torch.from_numpy(row).bfloat16()
    rounded(row, bits, True)
    assert np.array_equal(bits, wanted.view(torch.uint16).numpy())
    assert np.array_equal(row, wanted.float().numpy())


def test_float32_is_left_as_it_is() -> None:
    row = drawn(20).numpy()
    before = row.copy()
    rounded(row, np.zeros(20, np.float32), True)
    assert np.array_equal(row, before)
