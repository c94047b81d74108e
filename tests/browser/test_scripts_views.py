"""What draws the other views from the server's texts: Benchmark, earlier races, the inspector's menu, Learn."""

from __future__ import annotations

import json
from typing import Any

from tests.browser.given.race import ended
from tests.browser.given.trace import REJECTED, WHOLE, trace
from tests.browser.scripts_page import SOON, Loaded, Scripts

POINTS = {"kind": "points", "x": {}, "y": {}, "series": [{"name": "fast", "x": [1], "y": [2], "texts": ["fast"]}]}
HEAT = {
    "kind": "heat",
    "rows": ["fast"],
    "columns": ["story", "all"],
    "values": [[1.5, 2.0]],
    "middle": 1,
    "texts": [["1.50 [1–2]", "2"]],
    "shortTexts": [["1.5", "2"]],
}
BENCH: dict[str, Any] = {
    "open": "one",
    "group": "g",
    "overall": "all",
    "alert": "",
    "note": "",
    "about": "About.",
    "isComplete": True,
    "costs": "Costs.",
    "skipped": ["Skipped."],
    "suites": ["story", "chat"],
    "columns": [{"name": "Speedup", "help": "h"}],
    "heat": HEAT,
    "bySuite": {
        name: {"scatter": POINTS, "time": POINTS | {"kind": "stacked"}, "rows": [["fast", speed]]}
        for name, speed in (("story", "1.5"), ("chat", "2.5"))
    },
    "entries": [
        {"id": "one", "title": "One", "when": "then", "runs": "3 runs", "state": "complete"},
        {"id": "two", "title": "Two", "when": "now", "runs": "4 runs", "state": "stopped"},
    ],
}


def bench(scripts: Scripts, **more: Any) -> Loaded:
    loaded = scripts.load("plot", "bench", value=BENCH | more)
    loaded(SOON)
    return loaded


def drawn(loaded: Loaded, key: str) -> Any:
    """What of the latest drawings of each kind."""
    return loaded("(key) => plotted.filter(([what]) => what === 'react').map(([, data]) => data[0][key])", key)


def test_a_benchmark_is_shown_suite_by_suite(scripts: Scripts) -> None:
    loaded = bench(scripts)
    assert loaded.texts(".sv-bench-about, .sv-bench-costs") == ["About.", "Costs. Skipped."]
    assert loaded.texts(".sv-bench-table tbody tr") == ["fast1.5"]
    assert loaded.texts(".sv-bench-suites button") == ["story", "chat"]
    loaded.act(".sv-bench-suites button", "click", 1)
    assert loaded.texts(".sv-bench-table tbody tr") == ["fast2.5"]
    assert loaded.attributes(".sv-bench-suites button", "aria-pressed") == ["false", "true"]
    loaded.set(BENCH)
    assert loaded.texts(".sv-bench-table tbody tr") == ["fast2.5"], "the chosen suite stays"
    loaded.set(BENCH | {"suites": ["story"], "isComplete": False})
    assert loaded.texts(".sv-bench-table tbody tr") == ["fast1.5"]
    assert loaded.texts(".sv-bench-about") == ["Not complete: only the rounds that were finished are counted. About."]
    assert loaded("() => chooser.hidden") is True


def test_the_runs_behind_a_figure_are_listed(scripts: Scripts) -> None:
    loaded = bench(scripts)
    listed = {"view": "sessions", "group": "g", "method": "fast"}
    loaded.act(".sv-bench-table .sv-open", "click")
    assert loaded("place") == listed | {"task": "story"}
    pick = "(column) => heat.node.querySelector('.sv-chart-plot').picked({ points: [{ pointNumber: [0, column] }] })"
    loaded(pick, 0)
    assert loaded("place") == listed | {"task": "story"}
    loaded(pick, 1)
    assert loaded("place") == listed, "over all suites"
    loaded("note", {})
    example = bench(scripts, group="")
    example(pick, 0)
    assert (example("place"), example.texts(".sv-bench-table .sv-open")) == ({}, [])


def test_which_benchmarks_are_kept(scripts: Scripts) -> None:
    loaded = bench(scripts)
    assert loaded.texts("#bench-picker option") == ["One · then · 3 runs", "Two · now · 4 runs · stopped"]
    state = "() => [picker.value, goOn.hidden, saves.hidden, report.hidden]"
    assert loaded(state) == ["one", True, False, False]
    loaded.act("#bench-picker", "change", value="two")
    loaded.set(BENCH | {"open": "two", "heat": None, "note": "No round yet.", "alert": "Stopped."})
    assert loaded(state) == ["two", False, True, True]
    assert list(filter(None, loaded.texts(".sv-note, .sv-alert"))) == ["Stopped.", "No round yet."]
    loaded.act(".sv-bench-resume", "click")
    assert loaded.said == [["open", {"id": "two"}], ["resume", {"id": "two"}]]


def test_the_address_follows_a_benchmark_that_is_opened_here(scripts: Scripts) -> None:
    loaded = bench(scripts)
    loaded("note", {"view": "bench"})
    loaded.set(BENCH)
    assert loaded("place") == {"view": "bench"}
    loaded.set(BENCH | {"open": "two"})
    assert loaded("place") == {"view": "bench", "run": "two"}
    loaded("note", {"view": "play"})
    loaded.set(BENCH)
    assert loaded("place") == {"view": "play"}
    loaded("note", {})


def test_a_narrow_page_has_short_texts(scripts: Scripts) -> None:
    assert bench(scripts)("() => plotted[0][1][0].text") == [["1.50 [1–2]", "2"]]
    scripts.clear()
    scripts.page.set_viewport_size({"width": 600, "height": 800})
    try:
        narrow = bench(scripts)
        assert narrow("() => plotted[0][1][0].text") == [["1.5", "2"]]
        assert "markers" in drawn(narrow, "mode")
    finally:
        scripts.page.set_viewport_size({"width": 1200, "height": 800})


def progress(**more: Any) -> dict[str, Any]:
    return {"phase": "running", "text": "3 of 8", "more": "a minute", "share": 0.375, "alert": ""} | more


def test_how_far_a_benchmark_is(scripts: Scripts) -> None:
    loaded = scripts.load("dom", "benchprogress", value=progress())
    state = (
        "() => [text.textContent, more.textContent, alertBox.textContent, line.hidden, bar.hidden, "
        "alertBox.hidden, fill.style.width, bar.getAttribute('aria-valuenow')]"
    )
    assert loaded(state) == ["3 of 8", "a minute", "", False, False, True, "38%", "38"]
    loaded.set(progress(phase="failed", text="It broke."))
    assert loaded(state)[:6] == ["Failed", "a minute", "It broke.", False, False, False]
    loaded.set("")
    assert loaded(state)[3:] == [True, True, True, "0%", "0"]


RACES = {
    "page": 1,
    "hasOlder": True,
    "rows": [
        {"ids": ["a", "b"], "prompt": "<b>Tell", "runs": 2, "when": "then", "methods": "x, y", "note": ""},
        {"ids": [], "prompt": "Gone", "runs": 1, "when": "before", "methods": "x", "note": "Deleted."},
    ],
}


def test_earlier_races(scripts: Scripts) -> None:
    pages = "({ page }) => JSON.stringify(page === 3 ? { alert: 'No.' } : { page, rows: [], hasOlder: false })"
    loaded = scripts.load("dom", "address", "earlier", value=RACES, answers={"earlier_races": pages})
    assert loaded.texts(".sv-earlier-when") == ["then UTC · 2 runs", "before UTC · 1 run"]
    assert loaded.texts(".sv-earlier-prompt, .sv-earlier-note") == ["<b>Tell", "Gone", "Deleted."]
    assert loaded.texts(".sv-earlier .sv-open") == ["<b>Tell"], "what is gone does not open"
    loaded.act(".sv-open", "click")
    assert loaded("place") == {"view": "compare", "ids": "a,b"}
    state = "() => [newer.disabled, older.disabled, pager.hidden, races.hidden, alertBox.textContent]"
    assert loaded(state) == [False, False, False, False, ""]
    loaded.act(".sv-pager button", "click", 1)
    loaded(SOON)
    mine = {"visitor": loaded("visitorToken")}
    assert (loaded.asked, loaded(state)) == ([["earlier_races", {"page": 2, **mine}]], [False, True, False, False, ""])
    loaded.set(RACES | {"page": 2})
    loaded.act(".sv-pager button", "click", 1)
    loaded(SOON)
    assert loaded(state)[4] == "No."
    loaded.act(".sv-pager button", "click", 0)
    loaded(SOON)
    assert loaded.asked[-1] == ["earlier_races", {"page": 1, **mine}]
    loaded.set({"page": 0, "rows": [], "hasOlder": False})
    assert loaded(state) == [True, True, True, True, ""]
    loaded.set(RACES | {"page": 0})
    assert loaded(state) == [True, False, False, False, ""]
    loaded("note", {})


def test_the_inspector_reads_a_run_once(scripts: Scripts) -> None:
    run = json.dumps(trace(*(step | {"n": n} for n, step in enumerate((REJECTED, WHOLE, REJECTED)))))
    answers = {"read": f"(run) => run === 'none' ? JSON.stringify({{ alert: 'No run.' }}) : {json.dumps(run)}"}
    runs = [{"id": "a", "label": "A"}, {"id": "b", "label": "B"}]
    loaded = scripts.load("inspector", "inspectview", value={"run": "b", "step": 1, "runs": runs}, answers=answers)
    loaded(SOON)
    state = (
        "() => [inspector.number(), select.value, alertBox.textContent, inspector.node.hidden, holder.dataset.state]"
    )
    assert loaded(state) == [1, "b", "", False, "ready"]
    loaded.set({"run": "b", "step": 2, "runs": runs})
    loaded.set({"run": "b", "step": None, "runs": runs})
    assert (loaded(state)[0], loaded.asked) == (2, [["read", "b"]])
    loaded.set({"run": "none", "runs": runs})
    loaded(SOON)
    assert loaded(state)[1:4] == ["none", "No run.", True]
    assert loaded.texts("option") == ["The run of this address", "A", "B"]
    loaded.act("#sv-inspect-run", "change", value="a")
    assert loaded("place") == {"view": "inspect", "run": "a"}
    loaded("note", {})


def test_a_recording_says_that_it_is_one(scripts: Scripts) -> None:
    answers = {"read": f"() => {json.dumps(json.dumps(trace(REJECTED)))}"}
    loaded = scripts.load("inspector", "inspectview", value={"run": "recorded", "runs": []}, answers=answers)
    loaded(SOON)
    assert loaded("() => about.hidden") is False
    assert "A recording that comes with SpecViz" in loaded.texts(".sv-inspect-about")[0]
    loaded.act(".sv-inspect-about button", "click")
    assert loaded("place") == {"view": "play"}
    loaded.set({"run": "a", "runs": []})
    loaded(SOON)
    assert loaded("() => about.hidden") is True
    loaded("note", {})


def test_the_inspector_shows_the_run_that_was_asked_for_last(scripts: Scripts) -> None:
    slow = {"read": "(run) => new Promise((resolve) => { (window.late ??= {})[run] = resolve; })"}
    loaded = scripts.load("inspector", "inspectview", answers=slow)
    for run in ("a", "b"):
        loaded.set({"run": run, "step": 0, "runs": []})
    answer = (
        "(run, trace) => { late[run](JSON.stringify(trace)); return new Promise((resolve) => setTimeout(resolve, 5)); }"
    )
    for run in ("b", "a"):
        given = trace(REJECTED)
        loaded(answer, run, given | {"run": given["run"] | {"id": run}})
    assert loaded("() => inspector.trace().run.id") == "b"


def test_a_chart_of_the_server_is_drawn_and_reports_its_points(scripts: Scripts) -> None:
    loaded = scripts.load("plot", "plotview", FILENAME="f", HEIGHT=99)
    assert loaded("() => chart.node.hidden") is True
    loaded.set(POINTS)
    loaded(SOON)
    assert loaded("() => [chart.node.hidden, element.querySelector('.sv-chart-plot').style.height]") == [False, "99px"]
    loaded("() => element.querySelector('.sv-chart-plot').picked({ points: [{ curveNumber: 0, pointNumber: 0 }] })")
    assert loaded.said == [["pick", {"series": "fast", "index": 0, "key": None}]]


def test_a_sentence_of_the_server_is_text(scripts: Scripts) -> None:
    loaded = scripts.load("dom", "words", value="")
    loaded.set("<b>\u202e")
    assert loaded.texts(".sv-words") == ["<b>⟨U+202E⟩"]


def test_the_charts_of_a_race_show_its_clock(scripts: Scripts) -> None:
    figure = {"kind": "lines", "x": {}, "y": {}, "series": [{"name": "a", "x": [1], "y": [2]}]}
    loaded = ended(scripts, charts={"tokens": figure, "waste": figure | {"series": [{"name": "a", "x": [], "y": []}]}})
    loaded("(figure) => board.drawCharts({ tokens: figure }, 'r')", figure)
    loaded(SOON)
    assert loaded("() => [...element.querySelectorAll('.sv-chart')].map((chart) => chart.hidden)") == [
        False,
        True,
        True,
        True,
    ]
    loaded("() => { plotted.length = 0; board.showAt(1500, 4000); board.showAt(4000, 4000); }")
    shapes = loaded(
        "() => plotted.filter(([what]) => what === 'relayout').map(([, layout]) => "
        "layout.shapes.map((line) => [line.x0, line.x1]))"
    )
    assert shapes == [[[1.5, 1.5]], []]
