"""Whether a drafter knows how sure it may be: judged nodes, bins, the calibration error, its words and drawing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.given.inspector import opened
from tests.browser.given.trace import BARE, REJECTED, WHOLE, trace
from tests.browser.scripts_page import SOON, Scripts

CERTAIN = REJECTED | {"up": [-1, 0], "s": [0, 0], "q": [1.0, 0.95], "path": [0, 1]}


def node(stated: float, *, is_accepted: bool) -> dict[str, Any]:
    return {"stated": stated, "isAccepted": is_accepted}


def test_unreached_nodes_and_those_without_a_stated_probability_are_not_counted(scripts: Scripts) -> None:
    loaded = scripts.load("inspector")
    silent = REJECTED | {"q": [None] * 6}
    assert loaded("judgedOf", [REJECTED, BARE, silent]) == [
        node(0.6, is_accepted=True),
        node(0.4, is_accepted=False),
        node(0.5, is_accepted=False),
        node(0.3, is_accepted=False),
    ]


def test_bins_are_tenths_and_hold_what_was_stated_and_what_was_accepted(scripts: Scripts) -> None:
    """Certainty belongs to the last bin; (2 · |.5 - .425| + 2 · |1 - .975|) ÷ 4."""
    loaded = scripts.load("inspector")
    judged = [node(0.4, is_accepted=True), node(0.45, is_accepted=False)]
    judged += [node(1.0, is_accepted=True), node(0.95, is_accepted=True)]
    bins = loaded("binsOf", judged)
    assert [(found["low"], found["num"]) for found in bins] == [(0.4, 2), (0.9, 2)]
    assert [found["stated"] for found in bins] == pytest.approx([0.425, 0.975])
    assert [found["accepted"] for found in bins] == [0.5, 1]
    assert loaded("calibrationError", bins) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("stated", "share", "says"),
    [(0.9, 0.5, "too sure"), (0.3, 0.5, "might be surer"), (0.5, 0.5, "as sure as it may be")],
)
def test_it_is_said_which_way_it_leans(stated: float, share: float, says: str, scripts: Scripts) -> None:
    judged = [node(stated, is_accepted=place < 10 * share) for place in range(10)]
    told = scripts.load("inspector")("confidenceTold", judged)
    assert told.startswith(
        f"10 judged nodes: {stated:.2f} stated on average, {share:.2f} accepted; expected calibration"
    )
    assert says in told


def test_a_run_is_drawn_with_its_numbers_as_a_table(scripts: Scripts) -> None:
    figure = scripts.load("inspector")("(steps) => confidenceFigure(judgedOf(steps))", [REJECTED, WHOLE, CERTAIN])
    assert figure["series"][0]["x"] == figure["series"][0]["y"] == [0, 1]
    assert figure["series"][1]["labels"][-1] == "2 nodes: 0.97 stated, 1.00 accepted"
    assert [row[1] for row in figure["table"]["rows"]] == [2, 2, 2, 2, 2]


def test_the_fold_says_so_where_there_is_nothing_to_compare(scripts: Scripts) -> None:
    shown = opened(scripts, trace(BARE | {"n": 0}))
    shown("() => { element.querySelector('.sv-confidence').open = true; }")
    scripts.page.evaluate(SOON)
    assert shown.texts(".sv-confidence-outcome")[0].startswith("No drafted token of this run was judged")
    assert shown("() => element.querySelector('.sv-confidence .sv-chart').hidden") is True
