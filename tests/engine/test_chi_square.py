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


def test_numbers_beside_their_neighbours_have_the_law_that_the_serial_test_says() -> None:
    """By hand: 0 1 1 in a ring has the neighbours 1-0, 0-1, 1-1, so ψ²₂ = 1 and ψ²₁ = 1/3."""
    assert chi_square.serial([[0, 1, 1]], 2) == pytest.approx(1 - 1 / 3)
    assert chi_square.serial_freedom(4) == 12
    numbers = torch.randint(0, 4, (300, 160), generator=torch.Generator().manual_seed(5)).tolist()
    found = [chi_square.p_value(chi_square.serial([one[:80], one[80:]], 4), 12) for one in numbers]
    assert sum(tail < 0.1 for tail in found) / 300 == pytest.approx(0.1, abs=0.05)
    assert sum(tail < 0.5 for tail in found) / 300 == pytest.approx(0.5, abs=0.09)


def test_the_serial_test_sees_what_a_numbers_law_hides() -> None:
    """Each number is as likely as any other, and follows its like."""
    numbers = [
        number
        for number in torch.randint(0, 4, (60,), generator=torch.Generator().manual_seed(1)).tolist()
        for _ in "ab"
    ]
    assert chi_square.statistic([numbers.count(part) for part in range(4)]) < 12
    assert chi_square.p_value(chi_square.serial([numbers], 4), 12) < 1e-4
