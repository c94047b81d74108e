"""How a rule decided at a place: both distributions, overlap, draws, residual; and what a run did not record."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.given.inspector import OPEN, opened
from tests.browser.given.place import BLOCK, CHAIN, FIRST, SEQUENCE, SIBLINGS, P, Q, placed, weighed
from tests.browser.given.trace import BARE, REJECTED, trace, tree
from tests.browser.scripts_page import SOON, Scripts

RESIDUALS: list[tuple[str, Any, list[float] | None]] = [
    ("rejection", CHAIN, [6 / 7, 1 / 7, 0, 0]),
    ("rejection", SIBLINGS, [1, 0, 0, 0]),
    ("with_replacement", CHAIN, [6 / 7, 1 / 7, 0, 0]),
    ("k_seq", SEQUENCE, [1, 0, 0, 0]),
    ("block_verification", BLOCK, [6 / 7, 1 / 7, 0, 0]),
    ("greedy", weighed((2,), []), None),
    ("rejection", weighed((2, 1), [FIRST, [1, 0.9, 0.8, 0.4, 0.1]]), None),
]


def test_what_is_left_for_a_correction(scripts: Scripts) -> None:
    """Golden vectors; none where a rule has none, or where a recorded ratio does not follow from p and q."""
    loaded, order = scripts.load("inspector"), (0, 2, 1, 3)
    tokens = loaded("weighedAt", placed(CHAIN), CHAIN, -1)
    assert [(each["id"], each["p"], each["q"]) for each in tokens] == [(i, P[i], Q[i]) for i in order]
    for rule, step, residual in RESIDUALS:
        found = loaded("residualAt", placed(step, rule), step, -1)
        assert found == (residual and pytest.approx([residual[i] for i in order], abs=1e-4)), rule


def test_below_a_part_that_holds_in_part_the_target_counts_for_as_much(scripts: Scripts) -> None:
    """P_1 = .375 behind token 2: what is left of it is nowhere above q, but for token 0 where q is small."""
    step = BLOCK | {"path": [0], "j": [[0, None, 0.1, 0.65, 0.35, 0.375], [1, None, 0.9, 0.2, 0.0875, 0.1]]}
    step |= {"d": [[0, [[0, 0, 0.5, 0.1], [1, 1, 0.3, 0.9]]]], "k": [REJECTED["k"][0] | {"id": 2}, REJECTED["k"][1]]}
    loaded = scripts.load("inspector")
    found = loaded("residualAt", placed(step, "block_verification") | {"pieces": ["a"] * 9}, step, 0)
    assert max(each for each in found if each is not None) == pytest.approx(1)


def test_the_overlap_is_a_number_or_lies_between_bounds(scripts: Scripts) -> None:
    """Node 0 and 4 are known of both: .6 and .2 are shared, and of what is left no more than .1."""
    loaded = scripts.load("inspector")
    assert loaded("overlapAt", placed(CHAIN), CHAIN, -1) == [0.65, 0.65]
    assert loaded("overlapAt", placed(SEQUENCE, "k_seq"), SEQUENCE, -1) == pytest.approx([0.65, 0.65])
    assert loaded("overlapAt", trace(REJECTED), REJECTED, -1) == pytest.approx([0.8, 0.85])
    told = loaded("overlapWords", trace(REJECTED), REJECTED, -1)
    assert told.startswith("Overlap Σ min(target, draft): between 80.0 % and 85.0 % (the drafter’s probabilities")
    bare = REJECTED | {"q": [None] * 6}
    assert loaded("overlapAt", trace(bare), bare, -1) is None
    assert "this drafter states none" in loaded("overlapWords", trace(bare), bare, -1)
    assert loaded("overlapWords", trace(BARE), BARE, -1) == ""


SENTENCES: list[tuple[str, Any, str, str]] = [
    ("greedy", REJECTED, "0", "Greedy: the draft that holds the target’s likeliest token"),
    (
        "node_sampling",
        REJECTED,
        "0",
        "The target gives the drafts here 95.0 % in all; the drafter runs the same race",
    ),
    ("likeliest_drafts", REJECTED, "0", "know nothing of that draw and hold it with probability 95.0 %"),
    ("rejection", CHAIN, "0", "where Z = 1 − overlap = 35.0 %."),
    ("rejection", SIBLINGS, "1", "Siblings are weighed against what is left"),
    ("with_replacement", SIBLINGS, "1", "the same token again has nothing to pass with"),
    ("rejection", REJECTED, "0", "This run does not say how its draws were weighed here."),
    ("rejection", REJECTED, "5", "Never examined: what stands above did not survive."),
    ("k_seq", SEQUENCE, "0", "min(1, target ÷ (ρ × draft)), over all draws with 54.3 %"),
    ("block_verification", BLOCK, "0", "as far as this node it holds with 0.0 %, and the longest part"),
    ("typical", REJECTED, "0", "Lossy: what the target finds plausible enough passes"),
    ("above_threshold", REJECTED, "0", "gives 30 % or more. The output need not have the target’s distribution"),
    ("among_top", REJECTED, "0", "11 % and 11 % of a token’s probability went elsewhere"),
    ("greedy", BARE, "next", "Nothing was drafted for this place"),
]


def test_each_rule_has_its_own_sentence(scripts: Scripts) -> None:
    loaded = scripts.load("inspector")
    told = "(trace, step, key) => ruleSentence(trace, step, placeOf(step, key))"
    for rule, step, key, said in SENTENCES:
        assert said in loaded(told, trace(step, rule=rule), step, key)


def test_a_draw_says_on_which_side_of_its_bound_it_fell(scripts: Scripts) -> None:
    loaded = scripts.load("inspector")
    told = "(trace, step) => drawsAt(step, -1).map((draw) => drawWords(trace, step, draw))"
    assert loaded(told, placed(SIBLINGS), SIBLINGS) == [
        "“c”: 0.900 is not below 0.375, not accepted",
        "“b”: 0.800 is not below 0.343, not accepted",
    ]
    assert loaded(told, placed(BLOCK, "block_verification"), BLOCK) == ["“c”: 0.900 is not below 0.000, not accepted"]
    unsaid = weighed((2,), [[0, None, None, None, None]])
    assert loaded(told, placed(unsaid), unsaid) == ["“c”: the run does not say."]


def test_names_differ_and_what_was_drafted_is_marked(scripts: Scripts) -> None:
    tokens = [
        {"id": 1, "text": "a", "nodes": [0]},
        {"id": 2, "text": "a", "nodes": []},
        {"id": 3, "text": "x" * 30, "nodes": []},
    ]
    twins = [*tokens, {"id": 4, "text": "a", "nodes": [2]}]
    assert scripts.load("inspector")("tokenNames", twins) == ["▸ a #1", "a", "x" * 15 + "…", "▸ a #4"]


DRAWN = """() => plotted.filter(([what, data]) => what === 'react' && data[0].orientation === 'h')
  .map(([, data]) => data)"""


def test_the_place_is_drawn_while_its_fold_is_open_and_hostile_tokens_are_text(scripts: Scripts) -> None:
    shown = tree(scripts)
    shown(OPEN, placed(SIBLINGS), None)
    shown("() => { plotted.length = 0; element.querySelector('.sv-acceptance').open = true; }")
    scripts.page.evaluate(SOON)
    (data,) = shown(DRAWN)
    assert [each["name"] for each in data] == ["Target", "Draft", "Left for a correction"]
    assert data[0]["y"] == ["&lt;img␣src=x␣oner…", "▸ c", "▸ b", "d", "all others"]
    assert data[0]["x"] == [0.5, 0.15, 0.3, 0.05, 0]
    assert shown.texts(".sv-draw-words")[0] == "“c”: 0.900 is not below 0.375, not accepted"
    assert shown.texts(".sv-acceptance .sv-panel-title") == ["The place behind the root"]
    assert shown.attributes("img", "src") == []
    shown("() => { element.querySelector('.sv-acceptance .sv-chart-numbers').open = true; }")
    scripts.page.evaluate(SOON)
    assert shown.texts(".sv-acceptance .sv-chart-table tbody tr")[1] == "▸ c15.0 %40.0 %0.0 %"


def test_where_nothing_is_known_nothing_is_drawn(scripts: Scripts) -> None:
    shown = opened(scripts, trace(BARE | {"n": 0, "k": [BARE["k"][0] | {"p": None}]}))
    shown("() => { element.querySelector('.sv-acceptance').open = true; }")
    scripts.page.evaluate(SOON)
    assert shown.texts(".sv-acceptance .sv-fold-note")[0].startswith("Nothing was drafted for this place")
