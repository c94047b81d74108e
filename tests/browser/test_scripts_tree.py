"""The draft tree of a step: its numbers, its drawing, and what became of each node in words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.given.trace import BARE, ENDED, PIECES, REJECTED, WHOLE, trace, tree
from tests.browser.scripts_page import Scripts


def test_depths_children_and_paths(scripts: Scripts) -> None:
    loaded = tree(scripts)
    assert loaded("depthsOf", REJECTED) == [1, 2, 3, 2, 1, 2]
    children = [[0, 4], [3, 1], [2], [], [], [5], []]
    assert loaded("childrenOf", REJECTED) == children, "likeliest first"
    assert loaded("childrenOf", REJECTED | {"q": [None] * 6})[1] == [1, 3], "in their order where all are alike"
    assert loaded("sizeBelow", children, -1) == 6
    assert loaded("sizeBelow", children, 0) == 3
    assert [loaded("pathTo", REJECTED, node) for node in (2, 4, -1)] == [[0, 1, 2], [4], []]


PLACED = (
    "(step) => { const { places, folded, rows, columns } = placed(step); return [[...places], "
    "[...folded], rows, columns]; }"
)


def test_where_the_nodes_stand(scripts: Scripts) -> None:
    places, folded, rows, columns = tree(scripts)(PLACED, REJECTED)
    assert {str(key): (at["column"], at["row"]) for key, at in places} == {
        "-1": (0, 0),
        "0": (1, 0),
        "next": (2, 0),
        "3": (2, 1),
        "1": (2, 2),
        "2": (3, 2),
        "4": (1, 3),
        "5": (2, 3),
    }
    assert (folded, rows, columns) == ([], 4, 3)
    bonus = {str(key): (at["column"], at["row"]) for key, at in tree(scripts)(PLACED, WHOLE)[0]}
    assert bonus["next"] == (3, 0)
    assert "next" not in dict(tree(scripts)(PLACED, ENDED)[0])


def test_a_large_tree_folds_what_was_never_reached(scripts: Scripts) -> None:
    size = 81
    step = REJECTED | {"up": [-1, *range(size - 1)], "s": [1, *[2] * (size - 1)], "q": [0.5] * size, "path": []}
    _, folded, _rows, columns = tree(scripts)(PLACED, step)
    assert folded == [[1, 79]]
    assert columns == 2
    small = step | {name: step[name][:80] for name in ("up", "s", "q")}
    assert tree(scripts)(PLACED, small)[1] == []


@pytest.mark.parametrize(("node", "place"), [(0, 0), (1, 1), (3, 1), (4, 0), (2, -1), (5, -1)])
def test_the_place_that_a_node_stood_for(scripts: Scripts, node: int, place: int) -> None:
    assert tree(scripts)("outputPlace", REJECTED, node) == place
    assert tree(scripts)("outputPlace", ENDED, 1) == -1, "the output ended before it"


def test_how_likely_a_node_was_to_survive(scripts: Scripts) -> None:
    loaded = tree(scripts)
    assert loaded("survival", REJECTED, 1, "draw") == 0.1
    assert loaded("survival", REJECTED, 1, "ratio") == pytest.approx(0.25)
    assert loaded("survival", REJECTED, 0, "ratio") == 1
    assert loaded("survival", REJECTED, 2, "ratio") is None
    assert loaded("survival", REJECTED, 1, "likeliest") is None
    assert loaded("survival", REJECTED, 1, "") is None


@pytest.mark.parametrize(
    ("rule", "node", "says"),
    [
        ("greedy", 0, "“␣a” is the target’s likeliest token here (75.0 %), so it was accepted."),
        (
            "greedy",
            1,
            "“␣b” is not the target’s likeliest token here: the target gives it 10.0 % and prefers “␣z” (85.0 %).",
        ),
        (
            "greedy",
            4,
            "“␣e” is not the target’s likeliest token here: the target gives it 20.0 % and prefers “␣a” (75.0 %), "
            "a sibling that was drafted too.",
        ),
        ("greedy", 2, "“␣c” was never considered: what it follows did not survive."),
        (
            "node_sampling",
            0,
            "The target’s token here was drawn from its own distribution. The draw gave “␣a” (75.0 %), which was "
            "drafted, so it was accepted.",
        ),
        (
            "node_sampling",
            3,
            "The target’s token here was drawn from its own distribution. The draw gave “␣z” (85.0 %), not “␣d” "
            "(5.0 %).",
        ),
        (
            "rejection",
            0,
            "“␣a” passed its test. A first candidate passes with probability min(1, target ÷ draft) = 100.0 %.",
        ),
        (
            "rejection",
            1,
            "“␣b” failed its test. A first candidate passes with probability min(1, target ÷ draft) = 25.0 %; the "
            "output went on with “␣z”.",
        ),
        ("typical", 0, "“␣a” was accepted under rule typical; the target gives it 75.0 %."),
        ("typical", 1, "“␣b” was rejected under rule typical; the output went on with “␣z”."),
    ],
)
def test_why_a_node_survived_or_not(scripts: Scripts, rule: str, node: int, says: str) -> None:
    assert tree(scripts)("reasonOf", trace(REJECTED, rule=rule), REJECTED, node) == says


def test_a_run_that_tells_how_its_candidates_were_weighed_tells_which_were_not(scripts: Scripts) -> None:
    """Node 1 was drawn twice; node 3 was not looked at, though its parent survived."""
    step = REJECTED | {"j": [[0, 1.25, 0.31, 0.65, 0.35], [1, 0.8, 0.9, 0.5, 0.5], [1, 0.0, 0.0, 0.5, 0.25]]}
    said = [tree(scripts)("reasonOf", trace(step, rule="rejection"), step, node) for node in (0, 1, 3, 2)]
    assert said == [
        "“␣a” passed its test: the number drawn, 0.310, is below 1.250, what is left of the target ÷ the draft.",
        "“␣b” failed its test: the number drawn, 0.000, is not below 0.000, what is left of the target ÷ the draft; "
        "the output went on with “␣z”.",
        "“␣d” was never looked at: a candidate before it had passed.",
        "“␣c” was never considered: what it follows did not survive.",
    ]


def test_why_nodes_at_the_end_did_not_survive(scripts: Scripts) -> None:
    loaded = tree(scripts)
    assert loaded("reasonOf", trace(ENDED), ENDED, 1) == "“␣b” was dropped: the output ended before its place."
    gone = ENDED | {"s": [0, 1, 2, 2, 1, 2]}
    assert loaded("reasonOf", trace(gone), gone, 1) == "“␣b” did not survive: the output ended here."


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (REJECTED, "6 drafted, 1 accepted. The target put “␣z” in place of what it rejected."),
        (WHOLE, "6 drafted, 2 accepted: the path survived to its end, and the same pass gave “␣z” as a bonus."),
        (ENDED, "6 drafted, 1 accepted. The output ended inside the accepted path."),
        (BARE, "Nothing was drafted: the target wrote “␣z” by itself."),
    ],
)
def test_a_step_in_a_sentence(scripts: Scripts, step: dict[str, Any], says: str) -> None:
    assert tree(scripts)("storyOf", trace(step), step) == says


def test_a_right_to_left_token_keeps_the_sentence_in_order(scripts: Scripts) -> None:
    given = trace(REJECTED) | {"pieces": ["שלום", *PIECES[1:]]}
    said = tree(scripts)("reasonOf", given, REJECTED, 0)
    assert said == "“\u2068שלום\u2069” is the target’s likeliest token here (75.0 %), so it was accepted."


def test_rejections_and_full_accepts_are_told_apart(scripts: Scripts) -> None:
    loaded = tree(scripts)
    steps = (REJECTED, WHOLE, ENDED, BARE)
    assert [loaded("hasRejection", step) for step in steps] == [True, False, False, False]
    assert [loaded("isFullAccept", step) for step in steps] == [False, True, False, False]
    assert [loaded("barKind", step) for step in steps] == ["accepted", "bonus", "accepted", "none"]


@pytest.mark.parametrize(("share", "index"), [(-0.1, 0), (0, 0), (0.099, 0), (0.1, 1), (0.95, 9), (1, 9), (1.2, 9)])
def test_the_step_under_the_pointer(scripts: Scripts, share: float, index: int) -> None:
    assert tree(scripts)("stepUnder", share, 10) == index


def test_siblings_that_differ_by_a_space_look_different(scripts: Scripts) -> None:
    label = """(marks) => {
      const places = marks.map(([, place]) => place), known = new Map(places.map((place) => [place, { place }]));
      return labelsOf(marks.map(([text, place]) => ({ text, up: known.get(place) })));
    }"""
    marks = [[" the", 0], ["the", 0], [" fox", 0], [" the", 1], ["a", 1]]
    assert tree(scripts)(label, marks) == ["␣the", "the", "fox", "the", "a"]


def test_labels_are_short(scripts: Scripts) -> None:
    loaded = tree(scripts)
    given = [" fox", " ", "\n", "twelve chars", "thirteen char", "😀" * 13, "\u202ex"]
    assert [loaded("shortLabel", text) for text in given] == [
        "fox",
        "␣",
        "⏎",
        "twelve␣chars",
        "thirteen␣ch…",
        "😀" * 11 + "…",
        "⟨U+202E⟩x",
    ]
