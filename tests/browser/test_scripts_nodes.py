"""The drawing of a draft tree, the way from node to node, and the card of each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.given.trace import REJECTED, WHOLE, trace, tree
from tests.browser.scripts_page import Loaded, Scripts

DRAW = """(trace, step) => {
  window.picked = [];
  window.drawn = makeTree((key, hasFocus) => { picked.push(key); drawn.choose(key, hasFocus); });
  element.appendChild(drawn.node);
  drawn.draw(trace, step, ' root');
  drawn.choose('-1', false);
}"""


def drawn(scripts: Scripts, step: dict[str, Any]) -> Loaded:
    loaded = tree(scripts)
    loaded(DRAW, trace(step), step)
    return loaded


def test_every_node_is_marked_by_what_became_of_it(scripts: Scripts) -> None:
    shown = drawn(scripts, REJECTED)
    names = dict(zip(shown.attributes(".sv-node", "data-node"), shown.attributes(".sv-node", "class"), strict=True))
    assert names == {
        "-1": "sv-node is-root",
        "0": "sv-node is-accepted",
        "1": "sv-node is-rejected",
        "2": "sv-node is-unreached",
        "3": "sv-node is-rejected",
        "4": "sv-node is-rejected",
        "5": "sv-node is-unreached",
        "next": "sv-node is-correction",
    }
    spoken = dict(
        zip(shown.attributes(".sv-node", "data-node"), shown.attributes(".sv-node", "aria-label"), strict=True)
    )
    assert spoken["1"] == "␣b, rejected, draft 40.0 %, target 10.0 %"
    assert spoken["next"] == "␣z, target correction, target 85.0 %"
    assert spoken["-1"] == "Root: ␣root, the last token before this step"
    labels = dict(zip(shown.attributes(".sv-node-label", "data-node"), shown.texts(".sv-node-label"), strict=True))
    assert labels == {"-1": "root", "0": "a", "1": "b", "2": "c", "3": "d", "4": "e", "5": "f", "next": "z"}
    assert shown.texts(".sv-depth") == ["depth 1", "2", "3"]
    assert len(shown.texts(".sv-node.is-rejected .sv-cross")) == 3


def test_a_node_is_as_large_as_its_draft_and_its_edge_as_thick_as_its_target_probability(scripts: Scripts) -> None:
    shown = drawn(scripts, REJECTED)
    radius = dict(
        zip(shown.attributes(".sv-node", "data-node"), shown.attributes(".sv-node .sv-shape", "r"), strict=True)
    )
    assert float(radius["0"] or 0) == pytest.approx(4.5 + 7 * 0.6**0.5)
    assert float(radius["4"] or 0) == pytest.approx(4.5 + 7 * 0.3**0.5)
    assert shown.attributes(".sv-edge.is-accepted", "stroke-width") == ["4.70"]
    assert shown.attributes(".sv-edge.is-correction", "stroke-width") == ["5.22"]
    assert shown.attributes(".sv-edge.is-unreached", "stroke-width") == ["1.50", "1.50"]
    assert shown.attributes(".sv-node[data-node='next'] .sv-shape", "transform") == [None]
    scripts.clear()
    assert drawn(scripts, WHOLE).attributes(".sv-node.is-bonus .sv-shape", "transform") == ["rotate(45)"]


@pytest.mark.parametrize(
    ("keys", "node"),
    [
        ("ArrowRight", "0"),
        ("ArrowRight ArrowRight", "3"),
        ("ArrowRight ArrowDown", "4"),
        ("ArrowRight ArrowDown ArrowDown ArrowUp", "0"),
        ("ArrowRight ArrowRight ArrowDown", "1"),
        ("ArrowRight ArrowRight ArrowUp", "next"),
        ("ArrowRight ArrowRight ArrowUp ArrowLeft", "0"),
        ("ArrowRight ArrowRight ArrowDown ArrowRight ArrowLeft ArrowLeft ArrowLeft ArrowLeft", "-1"),
    ],
)
def test_arrow_keys_go_from_node_to_node(scripts: Scripts, keys: str, node: str) -> None:
    shown = drawn(scripts, REJECTED)
    for key in keys.split():
        shown.act('.sv-node[aria-pressed="true"]', "keydown", key=key)
    assert shown.attributes('.sv-node[aria-pressed="true"]', "data-node") == [node]
    assert shown.attributes('.sv-node[tabindex="0"]', "data-node") == [node]
    assert shown("() => picked[picked.length - 1]") == node


def test_the_way_right_of_a_leaf_is_the_targets_own_token(scripts: Scripts) -> None:
    shown = drawn(scripts, WHOLE)
    for _ in range(4):
        shown.act('.sv-node[aria-pressed="true"]', "keydown", key="ArrowRight")
    assert shown("() => picked") == ["0", "3", "next", "next"]
    shown.act('.sv-node[data-node="4"]', "keydown", key="Enter")
    assert shown("() => picked.pop()") == "4"


# The card of a node.

CARD = "(...given) => { window.card = makeNodeCard(); element.replaceChildren(card.node); card.show(...given); }"


def card(scripts: Scripts, step: dict[str, Any], key: str, rule: str = "greedy") -> Loaded:
    loaded = tree(scripts)
    loaded(CARD, trace(step, rule=rule), step, key, " root")
    return loaded


def facts(shown: Loaded) -> dict[str, str]:
    return dict(zip(shown.texts("dt"), shown.texts("dd"), strict=True))


def test_the_card_of_a_node(scripts: Scripts) -> None:
    shown = card(scripts, REJECTED, "1", "rejection")
    assert shown.texts(".sv-card-token") == ["␣b"]
    assert shown.texts(".sv-card-origin") == ["rejected"]
    assert facts(shown) == {"Node, depth": "1, 2", "Token id": "11", "min(1, target ÷ draft)": "25.0 %"}
    assert shown.texts(".sv-nodecard-path") == ["Path ␣a ␣b"]
    assert shown.texts("ul li") == ["Draft40.0 %", "Target10.0 %"]
    assert shown.attributes("ul .sv-bars-bar", "style") == ["--share: 40%;", "--share: 10%;"]
    assert shown.texts("ol li") == ["␣z85.0 %", "␣b10.0 %"]
    assert shown.attributes("ol li", "class") == ["is-chosen", "is-chosen"]
    assert facts(card(scripts, REJECTED, "1", "node_sampling")).keys() == {"Node, depth", "Token id"}
    assert facts(card(scripts, REJECTED, "1")) == {"Node, depth": "1, 2", "Token id": "11"}


def test_the_card_of_a_node_off_the_output_says_what_is_not_recorded(scripts: Scripts) -> None:
    shown = card(scripts, REJECTED, "2")
    assert shown.texts(".sv-card-caption") == ["The target’s alternatives are recorded along the output only."]
    assert shown.texts("ul li") == ["Draft30.0 %", "Target–"]


def test_the_cards_of_root_and_target(scripts: Scripts) -> None:
    shown = card(scripts, REJECTED, "next")
    assert shown.texts(".sv-card-token, .sv-card-origin") == ["␣z", "target correction"]
    assert facts(shown) == {"Token id": "16"}
    assert shown.attributes("ol li", "class") == ["is-chosen", None]
    shown = card(scripts, REJECTED, "-1")
    assert shown.texts(".sv-card-token, .sv-card-origin") == ["␣root", "root"]
    assert shown.texts(".sv-nodecard-why")[0].startswith("The last token before this step. 6 drafted")
