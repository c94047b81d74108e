"""A row's highest score and the sum of its powers, against the plain definition in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.runtime.cpu.totals import PIECE, highest_and_total

ONE = np.float32(1.0)


def scores(num: int, seed: int = 0) -> Any:
    return (4 * np.random.default_rng(seed).standard_normal(num)).astype(np.float32)


def plain(row: Any, scale: float) -> tuple[float, float]:
    exact = row.astype(np.float64)
    return exact.max(), float(np.exp((exact - exact.max()) * scale).sum())


@pytest.mark.parametrize("num", [1, 15, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 37])
@pytest.mark.parametrize("scale", [1.0, 1 / 0.7, 0.25])
def test_highest_and_total_are_those_of_the_definition(num: int, scale: float) -> None:
    row = scores(num)
    highest, total = highest_and_total(row, np.float32(scale))
    wanted = plain(row, float(np.float32(scale)))
    assert highest == wanted[0]
    assert total == pytest.approx(wanted[1], rel=3e-7)


@pytest.mark.parametrize("place", [0, PIECE - 1, PIECE, 3 * PIECE + 5])
def test_the_highest_may_stand_in_any_piece(place: int) -> None:
    """What was added up before it is scaled; where it stands far above, all others together are little."""
    row = scores(4 * PIECE)
    for height in (15.0, 60.0, 3e38):
        row[place] = height
        highest, total = highest_and_total(row, ONE)
        assert highest == row[place]
        assert total == pytest.approx(plain(row, 1.0)[1], rel=3e-7)


def test_rising_scores_are_scaled_again_and_again() -> None:
    row = np.linspace(-30, 30, 6 * PIECE, dtype=np.float32)
    assert highest_and_total(row, ONE)[1] == pytest.approx(plain(row, 1.0)[1], rel=1e-6)


def test_what_is_minus_infinity_counts_nothing_wherever_it_stands() -> None:
    row = np.full(3 * PIECE, -np.inf, np.float32)
    row[[2 * PIECE, 2 * PIECE + 1]] = 1.0
    assert highest_and_total(row, ONE) == (1.0, 2.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [3, 2 * PIECE + 9])
def test_a_score_that_is_no_number_leaves_no_total(bad: float, place: int) -> None:
    row = scores(3 * PIECE)
    row[place] = bad
    assert not np.isfinite(highest_and_total(row, ONE)[1])


def test_where_nothing_is_possible_there_is_no_total() -> None:
    highest, total = highest_and_total(np.full(2000, -np.inf, np.float32), ONE)
    assert highest == -np.inf
    assert np.isnan(total)
