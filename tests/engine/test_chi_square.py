"""The chi-square test's arithmetic against verification.md 2.14, tables, and what chance does."""

from __future__ import annotations

import pytest
import torch

from engine import chi_square


@pytest.mark.parametrize(("num_cells", "wanted"), [(8, 76), (64, 127), (512, 274)])
def test_the_noncentrality_is_near_the_published_one(num_cells: int, wanted: float) -> None:
    """Which is by a normal law in place of the non-central one, whose lower tail is shorter."""
    assert 0.89 * wanted < chi_square.noncentrality(num_cells - 1, 1e-6) < wanted


@pytest.mark.parametrize(("distortion", "wanted"), [(0.10, 3.2e3), (0.03, 35e3), (0.01, 320e3)])
def test_so_many_samples_see_so_much(distortion: float, wanted: float) -> None:
    assert chi_square.num_samples(distortion, 63, 1e-6) == pytest.approx(wanted, rel=0.06)
    assert chi_square.seen_distortion(int(wanted), 63, 1e-6) == pytest.approx(distortion, rel=0.04)


def test_the_tail_is_the_tables() -> None:
    for freedom, value, tail in ((1, 3.841459, 0.05), (7, 14.06714, 0.05), (63, 103.4424, 0.001)):
        assert chi_square.p_value(value, freedom) == pytest.approx(tail, rel=1e-3)
    assert chi_square.p_value(0.0, 63) == 1.0


def test_equal_counts_fit_and_others_have_pearsons_statistic() -> None:
    assert chi_square.statistic([5, 5, 5]) == 0
    assert chi_square.statistic([8, 2]) == pytest.approx(3.6)
    assert chi_square.statistic([0, 0]) == 0


def test_false_alarms_and_power_are_what_they_are_said_to_be() -> None:
    """Of 400 tests each at 5 % and at a distortion to be seen with probability 0.9."""
    generator = torch.Generator().manual_seed(3)
    probs = torch.full((8,), 1 / 8)
    moved = probs + 0.1 / 4 * torch.tensor([1, -1] * 4)
    num = chi_square.num_samples(0.1, 7, 0.05, power=0.9)

    def alarms(law: torch.Tensor) -> float:
        drawn = torch.multinomial(law.expand(400, 8), num, replacement=True, generator=generator)
        found = [chi_square.statistic(torch.bincount(row, minlength=8).tolist()) for row in drawn]
        return sum(chi_square.p_value(value, 7) < 0.05 for value in found) / 400

    assert alarms(probs) == pytest.approx(0.05, abs=0.04)
    assert alarms(moved) > 0.84
