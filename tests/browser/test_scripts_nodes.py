"""The drawing of a draft tree, the way from node to node, and the card of each."""

from __future__ import annotations

from typing import Any

import pytest

from specviz.pages import files
from tests.browser.given.trace import BARE, ENDED, PIECES, REJECTED, WHOLE, drawn_tree, of_nodes, trace, tree
from tests.browser.scripts_page import Loaded, Scripts

DRAW = """(trace, step) => {
  window.picked = [];
  window.drawn = makeTree({ onPick: (key) => { picked.push(key); drawn.choose(key); } });
  element.appendChild(drawn.node);
  drawn.draw(trace, step, ' root', roomOf(trace.steps));
  drawn.choose('-1');
}"""
HOSTILE = '<a href="https://example.com/">go</a><b>&lt;%{x}$x$'
ESCAPED = '&lt;a␣href="https://example.com/"&gt;go&lt;/a&gt;&lt;b&gt;&amp;lt;%{x}&#36;x&#36;'


def shown_tree(scripts: Scripts, step: dict[str, Any], **more: Any) -> Loaded:
    loaded = tree(scripts)
    loaded(DRAW, trace(step) | more, step)
    return loaded


def test_every_node_is_marked_by_what_became_of_it(scripts: Scripts) -> None:
    drawn = drawn_tree(shown_tree(scripts, REJECTED))
    states = files.palette()["states"]
    assert of_nodes(drawn, "marker", "symbol") == {
        "-1": "square",
        "0": "circle",
        "1": "circle-x",
        "2": "circle",
        "3": "circle-x",
        "4": "circle-x",
        "5": "circle",
        "next": "square",
    }
    lines, fills = of_nodes(drawn, "marker", "line", "color"), of_nodes(drawn, "marker", "color")
    assert (fills["0"], lines["1"]) == (states["accepted"]["light"], states["rejected"]["light"])
    assert fills["2"] == fills["1"] == fills["next"] == files.palette()["page"]["sheet"]["light"], "hollow"
    hovers = of_nodes(drawn, "hovertext")
    assert hovers["1"] == "␣b<br>rejected<br>draft 40.0 %<br>target 10.0 %"
    assert hovers["next"] == "␣z<br>target correction<br>target 85.0 %"
    assert hovers["-1"] == "␣root<br>root: the last token before this step"
    labels = {"-1": "root", "0": "a", "1": "b", "2": "c", "3": "d", "4": "e", "5": "f", "next": "z"}
    assert of_nodes(drawn, "text") == labels
    assert drawn["layout"]["xaxis"]["ticktext"] == ["depth 1", "2", "3"]
    whole = drawn_tree(shown_tree(scripts, WHOLE))
    assert of_nodes(whole, "marker", "symbol")["next"] == "diamond"


def test_a_node_is_as_large_as_its_draft_and_its_edge_as_thick_as_its_target_probability(scripts: Scripts) -> None:
    loaded = shown_tree(scripts, REJECTED)
    drawn = drawn_tree(loaded)
    sizes = of_nodes(drawn, "marker", "size")
    assert sizes["0"] == pytest.approx(2 * (4.5 + 7 * 0.6**0.5))
    assert sizes["4"] == pytest.approx(2 * (4.5 + 7 * 0.3**0.5))
    path, *edges = [(line["line"]["width"], line["line"].get("dash"), len(line["x"])) for line in drawn["lines"]]
    assert path == (22, None, 3), "a band from the root to the last accepted node"
    dotted, dashed = "1px,3px", "2px,4px"
    assert edges == [(0.8, dotted, 6), (0.8, dashed, 48), (5.6, "solid", 3), (5.6, "solid", 3)]
    assert [loaded("thickness", p) for p in (None, 0, 0.5, 1)] == [0.8, 0.8, 3, 5.6]


def test_a_step_of_the_same_run_is_moved_and_nothing_else_is_drawn_anew(scripts: Scripts) -> None:
    loaded = shown_tree(scripts, REJECTED)

    def drawn(step: dict[str, Any], columns: int) -> list[Any]:
        """What is told first: a page that is laid out anew may draw the same once more."""
        draw = (
            "(trace, step, columns) => { plotted.length = 0; drawn.draw(trace, step, ' root', { columns, rows: 4 }); }"
        )
        loaded(draw, trace(REJECTED), step, columns)
        what, data, *_ = loaded("() => plotted[0]")
        return [what, len(data)]

    assert drawn(REJECTED, 9) == ["react", 12], "to another scale"
    assert drawn(BARE, 9) == drawn(REJECTED, 9) == ["animate", 12], "a trace for each look in every step"
    loaded("() => { plotted.length = 0; document.body.classList.add('dark'); }")
    assert loaded("() => plotted[0][0]") == "react"


def test_a_tree_is_drawn_to_the_scale_of_its_run(scripts: Scripts) -> None:
    """A node stands at the same place of the page, however large the step's own tree is."""
    loaded = tree(scripts)
    large = REJECTED | {"up": [-1, 0, 1, 2, -1, 4]}
    sizes = []
    for step in (ENDED, large):
        loaded(DRAW, trace(ENDED, large), step)
        layout = drawn_tree(loaded)["layout"]
        sizes.append((layout["width"], layout["height"], layout["xaxis"]["range"], layout["yaxis"]["range"]))
    assert sizes[0] == sizes[1]
    width, height, across, down = sizes[0]
    assert width / (across[1] - across[0]) == pytest.approx(loaded("pitchOf", {"columns": 4, "rows": 4}, 1200), abs=0.2)
    assert (height - 18) / (down[0] - down[1]) == pytest.approx(46, abs=0.1)


def test_tokens_are_no_markup_in_label_and_hover(scripts: Scripts) -> None:
    drawn = drawn_tree(shown_tree(scripts, REJECTED, pieces=[HOSTILE, *PIECES[1:]]))
    assert of_nodes(drawn, "hovertext")["0"].startswith(ESCAPED + "<br>accepted")
    assert of_nodes(drawn, "text")["0"] == '&lt;a␣href="ht…'


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
    shown = shown_tree(scripts, REJECTED)
    for key in keys.split():
        shown.act(".sv-chart-plot", "keydown", key=key)
    assert drawn_tree(shown)["chosen"] == node
    assert shown("() => picked[picked.length - 1]") == node


def test_the_way_right_of_a_leaf_is_the_targets_own_token(scripts: Scripts) -> None:
    shown = shown_tree(scripts, WHOLE)
    for _ in range(4):
        shown.act(".sv-chart-plot", "keydown", key="ArrowRight")
    assert shown("() => picked") == ["0", "3", "next", "next"]
    assert shown.texts(".sv-chart [aria-live]") == ["␣z, bonus, target 50.0 %"]
    shown.act(".sv-chart-plot", "keydown", key="ArrowLeft")
    assert shown.texts(".sv-chart [aria-live]") == ["␣d, accepted, draft 50.0 %, target 5.0 %"]
    shown("() => element.querySelector('.sv-chart-plot').picked({ points: [{ customdata: '4' }] })")
    assert shown("() => picked.pop()") == "4"
    assert drawn_tree(shown)["chosen"] == "4"


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


def test_the_card_tells_every_draw_that_the_rule_weighed(scripts: Scripts) -> None:
    step = REJECTED | {"j": [[1, 0.25, 0.61, 0.5, 0.5], [1, None, 0.7, 0.0, 0.5]]}
    shown = card(scripts, step, "1", "rejection")
    assert shown.texts("dt") == [
        "Node, depth",
        "Token id",
        *["Target ÷ draft, number drawn", "Overlap, residual mass"] * 2,
    ]
    assert shown.texts("dd")[2:] == ["0.250, 0.610", "0.500, 0.500", "–, 0.700", "0.000, 0.500"]
    assert facts(card(scripts, step, "3", "rejection")).keys() == {"Node, depth", "Token id"}


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
