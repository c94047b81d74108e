"""Figures as numbers to what the chart library draws, the table beside them, and picking by mouse and keyboard."""

from __future__ import annotations

from typing import Any

import pytest

from specviz.pages import files
from tests.browser.scripts_page import Loaded, Scripts

LINES: dict[str, Any] = {
    "kind": "lines",
    "title": "Tokens",
    "caption": "c",
    "terms": ["speedup"],
    "x": {"title": "Time", "unit": "s", "zero": True},
    "y": {"title": "Tokens", "log": True, "range": [0, 2]},
    "marks": [{"y": 1, "text": "even <b>"}, {"x": 2}],
    "series": [
        {
            "name": "a<b>",
            "method": "plain",
            "x": [0, 1],
            "y": [1, 2.34567],
            "low": [0.5, 2],
            "high": [1.25, 4],
            "keys": ["k", "l"],
        },
        {"name": "b", "method": "fast", "x": [1, 2], "y": [3, None], "labels": ["three", "none"]},
    ],
}
HEAT: dict[str, Any] = {
    "kind": "heat",
    "rows": ["r1", "r2"],
    "columns": ["c1", "c2"],
    "values": [[1.5, 0.5], [None, 3]],
    "middle": 1,
    "labels": [["w", "x"], ["y", "z"]],
}


def charts(scripts: Scripts) -> Loaded:
    return scripts.load("dom", "address", "tooltip", "glossary", "plot")


@pytest.mark.parametrize(
    ("text", "written"),
    [("<b>&", "&lt;b&gt;&amp;"), ("$x$", "&#36;x&#36;"), ("a\nb", "a⏎b"), ("\u202e", "⟨U+202E⟩"), (7, "7")],
)
def test_names_are_no_markup(scripts: Scripts, text: Any, written: str) -> None:
    assert charts(scripts)("plain", text) == written


def test_plain_is_ink_and_others_take_their_places(scripts: Scripts) -> None:
    palette = files.palette()
    methods = palette["methods"]
    many = ["plain", *(f"m{n}" for n in range(len(methods) + 1)), "m0"]
    styles = charts(scripts)("methodStyles", many)
    assert styles["plain"] == palette["plain"]
    assert [styles[f"m{n}"] for n in range(len(methods))] == methods
    assert styles[f"m{len(methods)}"] == methods[0]
    figure = {
        "series": [{"name": "x", "role": "draft"}, {"name": "y", "role": "accepted"}, {"name": "z", "method": "fast"}]
    }
    found = charts(scripts)("stylesOf", figure)
    assert found[0]["light"] == palette["phases"]["draft"]["light"]
    assert found[1]["dark"] == palette["states"]["accepted"]["dark"]
    assert found[2] == methods[2], "its place among the figure's names"


@pytest.mark.parametrize(
    "value", [(None, "–"), (1.23456, "1.235"), (1200, "1200"), (0.00012345, "0.0001234"), ("x", "x")]
)
def test_a_number_of_a_figure(scripts: Scripts, value: tuple[Any, str]) -> None:
    assert charts(scripts)("figureNumber", value[0]) == value[1]


def test_lines_as_the_library_takes_them(scripts: Scripts) -> None:
    loaded = charts(scripts)
    drawn = loaded("drawing", LINES)
    first, second = drawn["data"]
    assert (first["name"], first["x"], first["y"]) == ("a&lt;b&gt;", [0, 1], [1, 2.34567])
    assert first["error_y"]["array"] == pytest.approx([0.25, 1.65433])
    assert first["error_y"]["arrayminus"] == pytest.approx([0.5, 0.34567])
    assert first["hovertext"] == ["a&lt;b&gt;: 1 at 0 s", "a&lt;b&gt;: 2.346 at 1 s"]
    assert second["hovertext"] == ["b: three", "b: none"]
    assert (first["mode"], first["line"]["color"]) == ("lines+markers", files.palette()["plain"]["light"])
    assert second["line"]["dash"] == files.palette()["methods"][0]["dash"]
    layout = drawn["layout"]
    assert (layout["xaxis"]["title"]["text"], layout["xaxis"]["rangemode"], layout["xaxis"]["type"]) == (
        "Time (s)",
        "tozero",
        "linear",
    )
    assert (layout["yaxis"]["type"], layout["yaxis"]["range"], layout["yaxis"]["rangemode"]) == (
        "log",
        [0, 2],
        "normal",
    )
    assert layout["showlegend"] is True
    level, moment = layout["shapes"]
    assert (level["y0"], level["y1"], level["x0"], level["x1"], level["xref"]) == (1, 1, 0, 1, "paper")
    assert (moment["x0"], moment["x1"], moment["y0"], moment["y1"], moment["yref"]) == (2, 2, 0, 1, "paper")
    assert [note["text"] for note in layout["annotations"]] == ["even &lt;b&gt;"]
    long = loaded("drawing", LINES | {"series": [LINES["series"][1] | {"x": [0] * 61, "y": [0] * 61, "labels": None}]})
    assert long["data"][0]["mode"] == "lines"
    short = loaded("drawing", LINES | {"series": [LINES["series"][1] | {"x": [0] * 60, "y": [0] * 60, "labels": None}]})
    assert short["data"][0]["mode"] == "lines+markers"
    assert long["layout"]["showlegend"] is False


def test_bars_points_and_stacks(scripts: Scripts) -> None:
    loaded = charts(scripts)
    assert [loaded("drawing", LINES | {"kind": kind})["layout"]["barmode"] for kind in ("bars", "stacked")] == [
        "group",
        "stack",
    ]
    assert [loaded("drawing", LINES | {"kind": kind})["data"][0]["type"] for kind in ("bars", "stacked", "points")] == [
        "bar",
        "bar",
        "scatter",
    ]
    series = LINES["series"][0] | {"texts": ["<i>", "y"], "isOpen": True}
    (point,) = loaded("drawing", LINES | {"kind": "points", "series": [series]})["data"]
    assert (point["mode"], point["text"]) == ("markers+text", ["&lt;i&gt;", "y"])
    assert point["marker"]["symbol"] == files.palette()["plain"]["marker"] + "-open"
    named = loaded(
        "drawing",
        LINES | {"kind": "bars", "x": {"categories": True}, "series": [LINES["series"][0] | {"x": ["<u>", "v"]}]},
    )
    assert (named["data"][0]["x"], named["layout"]["xaxis"]["type"]) == (["&lt;u&gt;", "v"], "category")
    with pytest.raises(Exception, match="no such figure: pie"):
        loaded("drawing", LINES | {"kind": "pie"})


def test_a_heat_map_is_blue_above_its_middle(scripts: Scripts) -> None:
    loaded = charts(scripts)
    drawn = loaded("drawing", HEAT)
    (field,) = drawn["data"]
    assert (field["zmin"], field["zmid"], field["zmax"]) == (-1, 1, 3)
    assert field["colorscale"][0] == [0, "#f0a36b"]
    assert field["colorscale"][2] == [1, "#6db3dd"]
    assert field["z"] == HEAT["values"]
    assert field["text"] == [["1.5", "0.5"], ["–", "3"]]
    assert field["hovertext"] == [["r1, c1: w", "r1, c2: x"], ["r2, c1: y", "r2, c2: z"]]
    assert drawn["layout"]["yaxis"]["autorange"] == "reversed", "the first row on top"
    loaded("() => document.body.classList.add('dark')")
    assert loaded("drawing", HEAT)["data"][0]["colorscale"][2] == [1, "#1f6fa5"]
    flat = loaded("drawing", HEAT | {"values": [[1, 1], [1, 1.01]]})["data"][0]
    assert flat["zmax"] == pytest.approx(1.05), "a hair's breadth is no colour"


def test_the_numbers_as_a_table(scripts: Scripts) -> None:
    loaded = charts(scripts)
    assert loaded("tableOf", LINES) == {
        "head": ["Time", "a<b>", "b"],
        "rows": [["0", "1", "–"], ["1", "2.346", "3"], ["2", "–", "–"]],
    }
    assert loaded("tableOf", HEAT) == {"head": ["", "c1", "c2"], "rows": [["r1", "w", "x"], ["r2", "y", "z"]]}
    assert loaded("tableOf", HEAT | {"labels": None})["rows"][1] == ["r2", "–", "3"]
    assert loaded("tableOf", {"table": {"head": ["h"], "rows": []}}) == {"head": ["h"], "rows": []}


CHART = """async (figure) => {
  window.picked = [];
  window.chart = makePlot({ path: '/none', name: 'file', onPick: (point) => picked.push(point) });
  element.appendChild(chart.node);
  await chart.draw(figure);
}"""


def chart(scripts: Scripts, figure: dict[str, Any]) -> Loaded:
    loaded = charts(scripts)
    loaded(CHART, figure)
    return loaded


def test_a_point_is_picked_by_mouse_and_keyboard(scripts: Scripts) -> None:
    shown = chart(scripts, LINES)
    plot = ".sv-chart-plot"
    shown("() => element.querySelector('.sv-chart-plot').picked({ points: [{ curveNumber: 0, pointNumber: 1 }] })")
    spoken = []
    for key in (
        "Enter",
        "ArrowRight",
        "ArrowRight",
        "ArrowRight",
        "ArrowLeft",
        "ArrowDown",
        "ArrowDown",
        "ArrowUp",
        "Enter",
    ):
        shown.act(plot, "keydown", key=key)
        spoken.append(shown.texts(".sv-chart > .sv-visually-hidden")[0])
    first, second, other = "a<b>: 1 at 0 s", "a<b>: 2.346 at 1 s", "b: three"
    assert spoken == ["", first, second, second, first, other, other, first, first]
    assert shown("() => picked") == [
        {"series": "a<b>", "index": 1, "key": "l"},
        {"series": "a<b>", "index": 0, "key": "k"},
    ]
    assert shown("() => plotted.filter(([what]) => what === 'hover').pop()") == [
        "hover",
        [{"curveNumber": 0, "pointNumber": 0}],
    ]


def test_a_field_of_a_heat_map_is_picked_where_it_has_a_value(scripts: Scripts) -> None:
    shown = chart(scripts, HEAT)
    for field in ([1, 0], [1, 1], [0, 1]):
        shown("(at) => element.querySelector('.sv-chart-plot').picked({ points: [{ pointNumber: at }] })", field)
    assert shown("() => picked") == [{"row": "r2", "column": "c2"}, {"row": "r1", "column": "c2"}]


def test_head_caption_numbers_and_files(scripts: Scripts) -> None:
    shown = chart(scripts, LINES)
    assert shown.texts(".sv-chart-title, .sv-chart-caption") == ["Tokens", "c"]
    assert shown.texts(".sv-plot-table") == []
    shown(
        "() => { element.querySelector('details').open = true; return new Promise((resolve) => "
        "setTimeout(resolve, 20)); }"
    )
    assert shown.texts(".sv-plot-table tr") == ["Timea<b>b", "01–", "12.3463", "2––"]
    for place in (0, 1):
        shown.act(".sv-chart-save", "click", place)
    saves = shown(
        "() => plotted.filter(([what]) => what === 'save').map(([, options]) => [options.format, "
        "options.filename, options.scale])"
    )
    assert saves == [["png", "file", 2], ["svg", "file", 1]]
    shown("(figure) => chart.draw(figure)", LINES | {"caption": "", "title": "Other"})
    assert shown("() => element.querySelector('.sv-chart-caption').hidden") is True
    assert shown.texts(".sv-chart-title") == ["Other"]


def test_a_chart_takes_the_theme_that_is_chosen(scripts: Scripts) -> None:
    shown = chart(scripts, LINES | {"series": [LINES["series"][0] | {"name": "mine"}]})
    shown("() => { document.body.classList.add('dark'); return new Promise((resolve) => setTimeout(resolve, 20)); }")
    colours = shown(
        "() => plotted.map(([, data]) => data?.[0]).filter((line) => line?.name === "
        "'mine').map((line) => line.line.color)"
    )
    assert colours == [files.palette()["plain"]["light"], files.palette()["plain"]["dark"]]
