"""The chart component on a real page: served from here, hostile names as text, keys, zoom, theme, files."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from specviz.pages import scripts
from specviz.routes import PLOTLY_PATH

Open = Callable[..., Any]
HOSTILE = '<a href="https://example.com/">go</a> <b>bold</b> &lt;i&gt; $x$ %{x} ${window.hacked=1}'
FIGURE = {
    "kind": "lines",
    "title": HOSTILE,
    "caption": HOSTILE,
    "x": {"title": "step"},
    "y": {"title": "tokens", "unit": "tokens"},
    "series": [
        {"name": "plain", "x": [0, 1, 2], "y": [1, 1, 1]},
        {"name": HOSTILE, "x": [0, 1, 2], "y": [3, 2, 4], "labels": [HOSTILE] * 3, "keys": ["a", "b", "c"]},
    ],
    "marks": [{"y": 2, "text": HOSTILE}],
}


def chart(seen: Any, figure: dict[str, Any]) -> Any:
    """Draw a figure at the top of the page; window.chart is the component, window.picked what was picked."""
    script = f"""async (figure) => {{ const {{ makePlot }} = await import({json.dumps("/" + scripts.address("plot"))});
        window.chart = makePlot({{ path: {json.dumps(PLOTLY_PATH)}, onPick: (point) => {{ window.picked = point; }} }});
        document.querySelector('.gradio-container').prepend(window.chart.node);
        await window.chart.draw(figure); }}"""
    seen.page.evaluate(script, figure)
    return seen.page.locator(".sv-chart").first


def test_names_are_text_wherever_plotly_writes_them(visit: Open) -> None:
    seen = visit()
    drawn = chart(seen, FIGURE)
    drawn.locator("svg .legendtext").nth(1).wait_for()
    assert drawn.locator("svg a, svg b, svg [style*=bold]").count() == 0
    assert drawn.locator("svg .legendtext").nth(1).text_content() == HOSTILE
    drawn.locator(".sv-chart-plot").focus()
    for key in ("ArrowDown", "ArrowRight"):
        seen.page.keyboard.press(key)
    drawn.locator("svg .hovertext").first.wait_for()
    assert HOSTILE in drawn.locator("svg .hovertext").first.text_content()
    assert drawn.locator("svg .hovertext a").count() == 0
    drawn.locator("summary").click()
    assert drawn.locator("table thead th").nth(2).inner_text() == HOSTILE
    assert seen.page.evaluate("window.hacked") is None


def test_a_point_is_picked_by_key_and_zoom_is_kept(visit: Open) -> None:
    seen = visit()
    drawn = chart(seen, FIGURE)
    drawn.locator(".sv-chart-plot").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter"):
        seen.page.keyboard.press(key)
    assert seen.page.evaluate("window.picked") == {"series": HOSTILE, "index": 2, "key": "c"}
    seen.page.evaluate("Plotly.relayout(document.querySelector('.sv-chart-plot'), {'xaxis.range': [0.5, 1.5]})")
    seen.page.evaluate("figure => window.chart.draw(figure)", {**FIGURE, "caption": "again"})
    assert seen.page.evaluate("document.querySelector('.sv-chart-plot').layout.xaxis.range") == [0.5, 1.5]


def test_a_chart_follows_the_theme_and_saves_itself(visit: Open) -> None:
    seen = visit()
    drawn = chart(seen, FIGURE)
    ink = "document.querySelector('.sv-chart-plot').layout.font.color"
    light = seen.page.evaluate(ink)
    seen.page.click("#theme-switch")
    seen.page.wait_for_function(f"{ink} !== {light!r}")
    for name in ("SVG", "PNG"):
        with seen.page.expect_download() as download:
            drawn.get_by_role("button", name=f"Download this chart as {name}").click()
        assert download.value.suggested_filename == f"specviz.{name.lower()}"


def test_a_charts_references_outlive_a_change_of_address(visit: Open) -> None:
    """A page with a base has plotly.js write its whole address into them, and patterns vanish when it changes."""
    seen = visit()
    bars = {"name": "verify", "role": "verify", "x": [0, 1], "y": [1, 2], "isHatched": True}
    chart(seen, {"kind": "stacked", "title": "hatched", "series": [bars, {**bars, "name": "host", "role": "host"}]})
    references = """() => [...document.querySelectorAll('.sv-chart [clip-path], .sv-chart [style*=url]')]
        .map((node) => (node.getAttribute('clip-path') || '') + node.getAttribute('style'))
        .filter((text) => text.includes('url'))"""
    found = seen.page.evaluate(references)
    assert found
    assert not any("http" in text for text in found), found
    assert seen.page.evaluate("document.querySelector('base').getAttribute('href')"), "the page still has its base"


def test_every_kind_is_drawn(visit: Open) -> None:
    seen = visit()
    series = [{"name": name, "x": ["a", "b"], "y": [1, 2], "low": [0.5, 1], "high": [2, 3]} for name in ("draft", "x")]
    drawn = None
    for kind in ("lines", "bars", "stacked", "points"):
        drawn = chart(seen, {"kind": kind, "title": kind, "x": {"categories": True}, "series": series})
        drawn.locator("svg .trace").first.wait_for()
        assert drawn.locator("svg .trace").count() == 2
    heat = {"kind": "heat", "rows": ["m"], "columns": ["s", HOSTILE], "values": [[0.8, 2.0]], "middle": 1.0}
    drawn = chart(seen, {**heat, "title": "heat", "labels": [["0.8×", HOSTILE]]})
    drawn.locator("svg .hm").wait_for()
    assert drawn.locator("svg .xtick text").nth(1).text_content() == HOSTILE
