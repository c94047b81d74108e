"""What acceptance should bring: the published formulas, what a run measured, and the sliders."""

from __future__ import annotations

from typing import Any

import pytest

from engine.bench.theory import chain_speedup
from tests.browser.given.inspector import KINDS, RUN, opened
from tests.browser.given.trace import BARE, trace
from tests.browser.scripts_page import SOON, Loaded, Scripts


def chosen(alpha: float, cost: float = 0.1, rates: list[float] | None = None, **more: Any) -> dict[str, Any]:
    found = [{"tried": 9, "rate": rate} for rate in rates or []]
    return {"alpha": alpha, "gamma": 4, "cost": cost, "pass": 1, "rates": found, "isByPosition": bool(rates), **more}


def test_expected_tokens_and_speed_are_leviathans(scripts: Scripts) -> None:
    loaded = scripts.load("inspector")
    tokens = [loaded("tokensExpected", chosen(0.8), gamma) for gamma in (1, 2, 3, 4, 5, 7, 10)]
    assert tokens == pytest.approx([1.80, 2.44, 2.95, 3.36, 3.69, 4.16, 4.57], abs=0.005)
    for gamma, alpha, cost in ((4, 0.7, 0.1), (8, 0.8, 0.05), (1, 0.5, 0.2), (24, 0.9, 0.01)):
        speed = loaded("speedExpected", chosen(alpha, cost), gamma)
        assert speed == pytest.approx(chain_speedup(alpha, gamma, cost))


def test_the_best_length_is_the_published_one(scripts: Scripts) -> None:
    loaded = scripts.load("inspector")
    for alpha, cost, best in (
        (0.5, 0.2, 1),
        (0.7, 0.1, 4),
        (0.8, 0.05, 8),
        (0.9, 0.1, 10),
        (0.6, 0.02, 6),
        (0.3, 0.5, 0),
    ):
        assert loaded("bestDepth", chosen(alpha, cost)) == best
        assert f"γ = {best}" in loaded("calculated", chosen(alpha, cost)).partition("Best: ")[2]


def test_each_position_may_have_its_own_rate(scripts: Scripts) -> None:
    """1 + .5 + .5 · .8, and beyond what was measured α; a dearer pass over a draft makes it slower."""
    loaded = scripts.load("inspector")
    given = chosen(0.25, rates=[0.5, 0.8])
    assert [loaded("tokensExpected", given, gamma) for gamma in (0, 1, 2, 3)] == pytest.approx([1, 1.5, 1.9, 2.0])
    assert loaded("speedExpected", given | {"pass": 1.5}, 2) == pytest.approx(1.9 / 1.7)
    few = given | {"rates": [{"tried": 4, "rate": 0.5}, {"tried": 5, "rate": 0.8}]}
    assert [loaded("rateFor", few, position) for position in (1, 2, 3)] == [0.25, 0.8, 0.25]
    assert loaded("rateFor", given | {"isByPosition": False}, 1) == 0.25


def test_what_a_run_measured(scripts: Scripts) -> None:
    """Each of six drafts accepted its first position; of the five that tried a second two accepted it."""
    loaded = scripts.load("inspector")
    found = loaded("measuredIn", list(KINDS))
    assert found["rates"] == [{"tried": 6, "rate": 1}, {"tried": 5, "rate": 0.4}]
    assert (found["alpha"], found["depth"], found["gamma"]) == (pytest.approx(8 / 11), 3, 3)
    assert (found["cost"], found["pass"], found["tokens"]) == (pytest.approx(1 / 12), 1, 2)
    slow = [*KINDS, *[BARE | {"ms": [0, 2.0, 0, 0, 0]}] * 9]
    priced = loaded("measuredIn", slow)
    assert (priced["cost"], priced["pass"], priced["numPlain"]) == (pytest.approx(1 / 6), 2, 10)
    assert "costs 2.00 of one without (10 such passes in this run)" in loaded("assumptions", priced)
    assert "costs no more than one without" in loaded("assumptions", found)


def test_the_curve_has_this_runs_own_point_the_best_and_the_numbers(scripts: Scripts) -> None:
    loaded = scripts.load("inspector")
    figure = loaded("(steps, given) => calculatorFigure(measuredIn(steps), given)", list(KINDS), chosen(0.7))
    by_name = {series["name"]: series for series in figure["series"]}
    assert (by_name["This run, measured tokens a pass"]["x"], by_name["Chosen γ"]["x"]) == ([3], [4])
    assert by_name["This run, measured tokens a pass"]["y"] == [2]
    assert figure["marks"][1] == {"x": 4, "text": " best γ 4"}
    assert figure["table"]["rows"][3] == [4, "0.700", "2.773", "1.981"]


def opened_calculator(scripts: Scripts, run: dict[str, Any]) -> Loaded:
    shown = opened(scripts, run)
    shown("() => { element.querySelector('.sv-calculator').open = true; }")
    scripts.page.evaluate(SOON)
    return shown


def test_sliders_begin_at_the_run_and_move_the_outcome(scripts: Scripts) -> None:
    shown = opened_calculator(scripts, RUN)
    assert shown.texts(".sv-calculator-value") == ["0.73", "3", "0.08"]
    assert shown.attributes(".sv-calculator .sv-range", "aria-label") == [
        "Acceptance probability α",
        "Draft length γ",
        "Cost ratio c",
    ]
    begun = shown.texts(".sv-calculator-outcome")
    shown.act(".sv-calculator .sv-range", "input", 0, value="0.8")
    shown.act(".sv-calculator .sv-range", "input", 1, value="8")
    shown.act(".sv-calculator .sv-range", "input", 2, value="0.05")
    assert shown.texts(".sv-calculator-outcome") == [
        "γ = 8: 4.33 tokens a pass, 3.09 × plain decoding expected. Best: γ = 8, 3.09 ×."
    ]
    assert shown("() => element.querySelector('.sv-calculator .sv-check').checked") is False
    shown.act(".sv-calculator .sv-tool", "click")
    assert shown.texts(".sv-calculator-outcome") == begun
    assert shown("() => element.querySelector('.sv-calculator .sv-check').checked") is True


def test_a_run_that_drafted_nothing_is_an_example(scripts: Scripts) -> None:
    shown = opened_calculator(scripts, trace(BARE | {"n": 0}))
    assert shown.texts(".sv-calculator-value") == ["0.70", "4", "0.10"]
    assert shown.texts(".sv-calculator .sv-fold-note")[0].startswith(
        "This run drafted nothing: the numbers are an example."
    )
