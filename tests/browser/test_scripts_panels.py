"""Beside the tree: times, the attention mask, smaller drafts, the nodes as a table."""

from __future__ import annotations

import pytest

from tests.browser.given.inspector import opened
from tests.browser.given.trace import BARE, REJECTED, WHOLE, trace
from tests.browser.scripts_page import Scripts


def test_where_the_time_of_a_step_went(scripts: Scripts) -> None:
    shown = opened(scripts, step=1)
    rows = dict(zip(shown.texts(".sv-phase dt"), shown.texts(".sv-phase dd"), strict=True))
    assert rows == {
        "Draft": "1.00 ms",
        "Target pass": "4.00 ms",
        "Commit": "0.50 ms",
        "Verify": "0.25 ms",
        "Rest": "0.25 ms",
        "Whole step": "6.00 ms",
        "KV cache after": "21 rows",
    }
    widths = shown(
        "() => [...element.querySelectorAll('.sv-phases-bar span')].map((part) => parseFloat(part.style.width))"
    )
    assert widths == pytest.approx([100 / 6, 400 / 6, 50 / 6, 25 / 6, 25 / 6], abs=1e-3)


def test_which_rows_see_which(scripts: Scripts) -> None:
    loaded = scripts.load("inspector")
    assert loaded("seenBy", REJECTED) == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 4], [0, 5], [0, 5, 6]]
    loaded("(...given) => drawMask(element, ...given)", trace(REJECTED), REJECTED, "1")
    assert loaded.attributes(".is-chosen", "y") == ["22.5"] * 7, "the row of node 1"
    assert len(loaded.texts(".is-seen")) == 1 + 2 + 3 + 4 + 3 + 2 + 3
    assert len(loaded.texts(".is-context")) == 7
    assert loaded.texts("p")[0].endswith("Node 1 sees the context, the root, node 0 and itself.")
    loaded("(...given) => drawMask(element, ...given)", trace(REJECTED), REJECTED, "0")
    assert loaded.texts("p")[0].endswith("Node 0 sees the context, the root and itself.")
    loaded("(...given) => drawMask(element, ...given)", trace(REJECTED), REJECTED, "next")
    assert loaded.texts("p")[0].endswith("Choose a node to see its row.")


@pytest.mark.parametrize(
    ("family", "limit", "kept", "whole"),
    [
        ("budget", 1, [1, 1], 2.0),
        ("budget", 4, [1, 2], 2.5),
        ("budget", 0, [0, 0], 1.0),
        ("depth", 1, [1, 1], 2.0),
        ("depth", 2, [1, 2], 2.5),
        ("topk", 1, [1, 1], 2.0),
        ("topk", 2, [1, 2], 2.5),
    ],
)
def test_what_a_smaller_draft_would_have_kept(
    scripts: Scripts, family: str, limit: int, kept: list[int], whole: float
) -> None:
    loaded = scripts.load("inspector")
    steps = [REJECTED, WHOLE | {"ranks": [1, 2]}]
    assert [loaded("(family, step, limit) => KEPT[family](step, limit)", family, step, limit) for step in steps] == kept
    assert loaded("wholeRun", trace(*steps), family, limit) == whole


def test_the_table_of_cuts(scripts: Scripts) -> None:
    loaded = scripts.load("inspector")
    loaded("(...given) => drawCuts(element, ...given)", trace(REJECTED, rule="node_sampling"), REJECTED)
    assert loaded.texts("caption") == ["Budget: first nodes only", "Depth: levels", "Top-k: children per node"]
    assert loaded.texts("tbody tr") == ["1110.502.00", "661–2.00", "1210.702.00", "1300.252.00"]
    loaded("(...given) => drawCuts(element, ...given)", trace(REJECTED), REJECTED)
    assert loaded.texts("tbody tr")[0] == "1112.00", "no chance where the rule is greedy"
    loaded("(...given) => drawCuts(element, ...given)", trace(BARE), BARE)
    assert loaded.texts("p")[1:] == ["Nothing was drafted at this step."]


TABLE = """(trace, step) => new Promise((resolve) => {
  window.picked = [];
  const table = makeNodeTable((key) => picked.push(key));
  element.appendChild(table.node);
  table.node.open = true;
  table.draw(trace, step, '3');
  setTimeout(resolve, 20);
})"""


def test_the_nodes_as_a_table_in_any_order(scripts: Scripts) -> None:
    loaded = scripts.load("inspector")
    loaded(TABLE, trace(REJECTED), REJECTED)
    assert loaded.texts("tbody tr")[1] == "1␣b20rejected40.0 %10.0 %"
    assert loaded.texts("tbody tr")[4] == "4␣e1rootrejected30.0 %20.0 %"
    assert loaded.texts("tr.is-chosen th") == ["3"]
    nodes = {}
    for column in (5, 6, 1):
        for turn in ("ascending", "descending"):
            loaded.act(".sv-sort", "click", column)
            nodes[column, turn] = "".join(loaded.texts("tbody th"))
            assert loaded.attributes("thead th", "aria-sort")[column] == turn
    assert nodes == {
        (5, "ascending"): "524130",
        (5, "descending"): "031245",
        (6, "ascending"): "253140",
        (6, "descending"): "041325",
        (1, "ascending"): "012345",
        (1, "descending"): "543210",
    }
    loaded.act(".sv-open", "click")
    assert loaded("() => picked") == ["5"]
