"""The draft tree beside the text, and the way from charts and tree to the inspector."""

from __future__ import annotations

from typing import Any

from tests.browser.given.tokens import step, token
from tests.browser.given.trace import drawn_tree, of_nodes
from tests.browser.scripts_page import SOON, Loaded, Scripts

TREE = {
    "path": [0],
    "t": [" a", " b", " c"],
    "up": [-1, 0, -1],
    "s": [0, 1, 1],
    "p": [0.75, 0.125, 0.0],
    "q": [0.5, 0.25, 0.25],
}
ONE = step(0, token(" a"), token(" z", "correction"), drafted=3, tree=TREE)
TWO = step(1, token("", "bonus", raw="<end>"), len=0, drafted=0)


def told(*steps: dict[str, Any]) -> dict[str, Any]:
    status = {"phase": "running", "text": "t", "meta": "m", "session": "s", "isPending": True}
    return {"stream": "a", "seq": 0, "alert": "", "reset": True, "steps": list(steps), "status": status}


def stage(scripts: Scripts, *steps: dict[str, Any]) -> Loaded:
    loaded = scripts.load("stage", value=told(*steps))
    loaded("() => { live.node.open = true; }")
    loaded(SOON)
    return loaded


def test_a_step_of_the_stage_is_a_tree(scripts: Scripts) -> None:
    loaded = scripts.load("stage")
    found = loaded("treeOfStep", ONE)
    assert found["pieces"] == [" a", " b", " c", " a", " z"]
    assert [(token["o"], token["raw"], token["node"]) for token in found["step"]["k"]] == [
        ("accepted", 3, 0),
        ("correction", 4, None),
    ]
    bare = loaded("treeOfStep", TWO)
    assert (bare["pieces"], bare["step"]["up"]) == (["<end>"], [])


def test_the_newest_tree_is_shown_or_that_of_the_step_that_is_pointed_at(scripts: Scripts) -> None:
    shown = stage(scripts, ONE, step(1, token(" q", "correction"), len=0, drafted=3, tree=TREE | {"path": []}))
    assert shown.texts(".sv-live-step") == ["step 1, the newest"]
    assert of_nodes(drawn_tree(shown), "text") == {"-1": "z", "0": "a", "1": "b", "2": "c", "next": "q"}
    shown.act(".sv-text .sv-token", "mouseover")
    shown(SOON)
    assert shown.texts(".sv-live-step") == ["step 0"]
    assert of_nodes(drawn_tree(shown), "text")["-1"] == "(prompt)"
    assert shown.texts(".sv-live-story") == ["3 drafted, 1 accepted. The target put “␣z” in place of what it rejected."]
    shown.act(".sv-text", "mouseleave")
    shown(SOON)
    assert shown.texts(".sv-live-step") == ["step 0"], "the pointer is on its way to the tree"
    shown("() => element.querySelector('.sv-live .sv-chart-plot').picked({ points: [{ customdata: '1' }] })")
    assert shown("place") == {"view": "inspect", "run": "s", "step": "0"}
    shown("note", {})
    shown.set(told(step(2, token(" r", "correction"))) | {"seq": 1, "reset": False})
    scripts.page.locator(".sv-live-step", has_text="step 2, the newest").wait_for()


def test_at_the_end_charts_wait_for_nothing(scripts: Scripts) -> None:
    """While a model may decode beside them, they are drawn anew after a while only."""
    captions = "() => [...element.querySelectorAll('.sv-figures .sv-chart-caption')].map((node) => node.textContent)"
    shown = stage(scripts, ONE)
    scripts.page.locator(".sv-figures .sv-chart-title", has_text="Tokens per step").wait_for()
    more = told(TWO) | {"seq": 1, "reset": False, "figures": {"emitted": "of two", "time": "of two"}}
    shown.set(more)
    over = more["status"] | {"phase": "finished", "isPending": False}
    shown.set(more | {"seq": 2, "steps": [], "status": over})
    assert shown(captions)[:2] == ["of two", "of two"]


def test_a_folded_tree_draws_nothing_and_a_step_without_one_says_so(scripts: Scripts) -> None:
    shown = stage(scripts, TWO)
    assert shown.texts(".sv-live-story") == ["Nothing was drafted: the target wrote “<end>” by itself."]
    shown("() => { live.node.open = false; plotted.length = 0; }")
    shown.set(told(ONE) | {"seq": 1, "reset": False})
    shown(SOON)
    trees = "() => plotted.filter(([, data]) => Array.isArray(data) && data.some((trace) => trace.customdata)).length"
    assert shown(trees) == 0
    shown("() => { live.node.open = true; }")
    shown(SOON)
    assert shown(trees) == 1


def test_a_press_on_a_bar_leads_to_its_step(scripts: Scripts) -> None:
    shown = stage(scripts, ONE, TWO)
    press = "(plot) => plot.picked({ points: [{ curveNumber: 0, pointNumber: 1 }] })"
    shown(f"() => ({press})(element.querySelector('.sv-figures .sv-chart-plot'))")
    assert shown("place") == {"view": "inspect", "run": "s", "step": "1"}
    shown("note", {})
