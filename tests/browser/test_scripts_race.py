"""A race: its shared clock, its lanes, who races, and the board below."""

from __future__ import annotations

import pytest

from tests.browser.given.race import BOARD, LANES, ended, message, race, row, step
from tests.browser.scripts_page import Scripts


@pytest.mark.parametrize("lane", [0, 1])
def test_inspect_opens_the_run_of_its_own_lane(scripts: Scripts, lane: int) -> None:
    shown = ended(scripts)
    shown.act(".sv-lane-inspect", "click", lane)
    assert shown("place") == {"view": "inspect", "run": ["one", "two"][lane]}


def test_a_difference_leads_to_its_step_of_its_lane(scripts: Scripts) -> None:
    shown = ended(scripts)
    shown.act(".sv-diff .sv-copy", "click")
    assert shown("place") == {"view": "inspect", "run": "two", "step": "7"}


VISIBLE = """() => [...element.querySelectorAll('.sv-lane')].map((lane) =>
  [...lane.querySelectorAll('.sv-token')].filter((token) => getComputedStyle(token).display !== 'none').length)"""


@pytest.mark.parametrize(
    ("share", "tokens", "counts"),
    [
        (0, [0, 0], ["0 of 6 tokens · running", "0 of 6 tokens · running"]),
        (0.1249, [0, 0], None),
        (0.125, [0, 3], None),
        (0.25, [2, 6], ["2 of 6 tokens · running", "6 tokens · done in 0.50 s"]),
        (0.5, [4, 6], None),
        (0.999, [4, 6], None),
        (1, [6, 6], ["6 tokens · done in 0.50 s"] * 2),
    ],
)
def test_a_replay_shows_exactly_what_had_been_decoded(
    scripts: Scripts, share: float, tokens: list[int], counts: list[str] | None
) -> None:
    shown = ended(scripts)
    assert shown(VISIBLE) == [6, 6]
    shown("(share) => showAt(0, 400)", share)
    assert shown(VISIBLE) == [0, 0]
    shown("(share) => showAt(share * 400, 400)", share)
    assert shown(VISIBLE) == tokens
    if counts:
        assert shown.texts(".sv-lane-count") == counts


def test_speed_and_bar_are_those_of_the_moment(scripts: Scripts) -> None:
    shown = ended(scripts)
    shown("() => showAt(200, 400)")
    assert shown.texts(".sv-lane-speed") == ["20.0", "12.0"], "4 tokens in 0.2 s; the second lane has ended"
    assert shown(
        "() => [...element.querySelectorAll('.sv-lane-bar')].map((bar) => parseFloat(bar.style.width))"
    ) == pytest.approx([66.667, 100], abs=0.01)
    assert ["is-over" in str(name) for name in shown.attributes(".sv-lane", "class")] == [False, True]


def test_the_slider_goes_to_its_share_of_the_longest_lane(scripts: Scripts) -> None:
    shown = ended(scripts)
    assert shown.texts(".sv-clock-time") == ["0.40 s / 0.40 s"]
    assert shown.texts(".sv-clock-play") == ["▶ Replay"]
    assert shown("() => element.querySelector('.sv-clock select').value") == "0.125"
    shown.act(".sv-clock-slider", "input", value="250")
    assert shown.texts(".sv-clock-time") == ["0.20 s / 0.40 s"]
    assert shown.attributes(".sv-clock-slider", "aria-valuetext") == ["0.20 s of 0.40 s"]
    assert shown.texts(".sv-clock-play") == ["▶ Play"]
    assert shown(VISIBLE) == [4, 6]


def test_play_goes_on_from_where_it_stands_and_begins_again_at_the_end(scripts: Scripts) -> None:
    shown = ended(scripts)
    shown("() => { window.requestAnimationFrame = (frame) => { window.frame = frame; }; }")
    shown.act(".sv-clock-play", "click")
    assert shown.texts(".sv-clock-time") == ["0.00 s / 0.40 s"]
    assert shown.texts(".sv-clock-play") == ["❚❚ Pause"]
    shown("() => frame(performance.now() + 200)")
    time = float(shown.texts(".sv-clock-time")[0].split()[0])
    assert 0.02 <= time <= 0.04, "an eighth of the time that passed, at most a quarter of a second"
    shown.act(".sv-clock-slider", "keydown", key=" ")
    assert shown.texts(".sv-clock-play") == ["▶ Play"]
    before = shown.texts(".sv-clock-time")
    shown("() => frame(performance.now() + 1000)")
    assert shown.texts(".sv-clock-time") == before, "a paused clock stands"


def test_what_a_lane_says(scripts: Scripts) -> None:
    failed = row("broken", phase="failed", problem="It broke.", emitted=0, turn=2, speedup="–", verdict="")
    shown = ended(scripts, rows=[row("plain", speedup="–", tone=""), failed])
    assert shown.texts(".sv-lane-title") == ["plain", "broken"]
    assert shown.texts(".sv-lane-turn") == ["ran 1st", "ran 2nd"]
    assert shown.texts(".sv-lane-speedup") == ["", ""]
    assert shown.texts(".sv-lane-problem") == ["", "It broke."]
    assert shown("() => [...element.querySelectorAll('.sv-lane-problem')].map((node) => node.hidden)") == [True, False]
    assert shown("() => [...element.querySelectorAll('.sv-lane-inspect')].map((node) => node.hidden)") == [False, True]
    other = ended(scripts)
    assert other.texts(".sv-lane-speedup") == ["", "× 1.50"]
    assert other.attributes(".sv-lane-verdict", "class") == ["sv-lane-verdict", "sv-lane-verdict is-good"]


def test_a_running_lane_counts_up_to_its_limit(scripts: Scripts) -> None:
    running = row("fast", phase="running", emitted=10, speed="9.0")
    shown = race(
        scripts, message(reset=True, rows=[row("plain", phase="idle", emitted=0), running], lanes=[[], LANES[1]])
    )
    assert shown.texts(".sv-lane-count") == ["0 of 40 tokens · waits for its turn", "10 of 40 tokens · running"]
    assert shown.attributes(".sv-lane-track", "aria-valuenow") == ["0", "10"]
    assert shown.attributes(".sv-lane-track", "aria-valuemax") == ["40", "40"]
    assert shown("() => lanes.map((lane) => lane.length)") == [0, 2]
    assert shown.attributes(".sv-race", "data-phase") == ["running"]
    shown.set(message(1, lanes=[[], [step(2, 300)]]))
    shown("() => { for (const lane of lanes) lane.flush(); }")
    assert shown(VISIBLE) == [0, 8]
    shown.set(message(5, snapshot=True, reset=True, lanes=[LANES[0], [*LANES[1], step(2, 300), step(3, 310)]]))
    shown("() => { for (const lane of lanes) lane.flush(); }")
    assert shown(VISIBLE) == [6, 10], "a snapshot adds what is missing"


def test_status_order_and_links(scripts: Scripts) -> None:
    shown = ended(scripts)
    assert shown.texts(".sv-status-text, .sv-status-meta, .sv-race-order") == ["t", "m", "o"]
    assert shown.texts(".sv-race-saved") == ["Saved as one group of runs."]
    assert shown("() => [clock.node.hidden, board.node.hidden, links.hidden, legend.hidden]") == [False] * 4
    empty = race(scripts)
    assert empty("() => [clock.node.hidden, board.node.hidden, links.hidden, legend.hidden]") == [True] * 4


# The board.


def test_the_table_of_all_lanes(scripts: Scripts) -> None:
    shown = ended(scripts)
    assert shown.texts(".sv-board-rows thead .sv-board-heading") == ["Lane", "Speed"]
    assert shown.texts(".sv-board-rows tbody tr") == ["plain10", "fast20"]
    assert shown.attributes(".sv-board-rows tbody td", "data-label") == ["Speed", "Speed"]
    assert shown.attributes(".sv-board-rows tbody td", "class") == ["is-number"] * 2
    shown("() => { copyText = async (text) => { window.copied = text; }; }")
    for place, text in enumerate(BOARD["copies"].values()):
        shown.act(".sv-board-copying .sv-copy", "click", place)
        assert shown("() => copied") == text


def test_where_texts_part_and_what_differs(scripts: Scripts) -> None:
    shown = ended(scripts)
    assert shown.texts(".sv-diff-lane, .sv-diff-text") == ["fast", "Parts at 4."]
    assert shown.texts(".sv-diff tbody tr") == ["plain␣cat and60.0 %30.0 %", "this lane␣dog and60.0 %30.0 %"]
    assert shown.attributes(".sv-diff", "class") == ["sv-diff is-bad"]
    assert shown.texts(".sv-diff-context") == ["Both wrote …so far"]
    assert shown.texts(".sv-board-warning") == ["Mind the <b>gap</b>."]
    assert shown.texts(".sv-board-settings tr") == ["Settingplainfast", "seed1–"]
    same = ended(scripts, board=BOARD | {"diffs": [None, {}], "settings": [], "warnings": []})
    assert same.texts(".sv-diff-same") == ["No token differs: fast."]


# Who races.

METHODS = [
    {"name": name, "title": name.title(), "summary": "s", "guarantee": "exact", "options": []}
    for name in ("plain", "fast", "wide")
]
CATALOG = '{{"methods": {}, "sampling": []}}'.format(str(METHODS).replace("'", '"'))


def test_lanes_are_added_changed_and_removed(scripts: Scripts) -> None:
    first = '{"lanes": [{"method": "plain", "options": {}}, {"method": "fast", "options": {}}], "sampling": {}}'
    loaded = scripts.load("contenders", CATALOG=CATALOG, FIRST=first)
    told = "() => JSON.parse(props.value).lanes.map((lane) => lane.method)"
    assert loaded.texts(".sv-lane-fixed") == ["Plain"]
    assert loaded("() => [...element.querySelectorAll('.sv-lane-row select')].map((menu) => menu.value)") == ["fast"]
    assert loaded.texts("option") == ["Fast", "Wide"], "plain decoding is there once and always"
    loaded.act(".sv-lane-add", "click")
    assert loaded(told) == ["plain", "fast", "wide"], "the first that is not there yet"
    loaded.act(".sv-lane-row select", "change", 0, value="wide")
    assert loaded(told) == ["plain", "wide", "wide"]
    loaded.act(".sv-lane-add", "click")
    assert loaded(told)[3] == "fast"
    loaded.act(".sv-lane-remove", "click", 2)
    loaded.act(".sv-lane-remove", "click", 0)
    assert loaded(told) == ["plain", "wide"]
    for _ in range(6):
        loaded.act(".sv-lane-add", "click")
    assert len(loaded(told)) == 8
    assert loaded.texts(".sv-lane-add") == ["Eight lanes are the most"]
    assert loaded("() => element.querySelector('.sv-lane-add').disabled") is True


def test_a_swatch_is_the_line_of_the_chart(scripts: Scripts) -> None:
    loaded = scripts.load("contenders", CATALOG=CATALOG, FIRST='{"lanes": []}')
    loaded(
        """() => { for (const dash of ['solid', 'dash', '5px,2px']) {
          add(element, makeSwatch({ light: '#111', dark: '#222', dash, marker: 'star' }));
        } }"""
    )
    assert loaded.attributes(".sv-swatch-line", "stroke-dasharray") == ["", "6 4", "5,2"]
    assert loaded(
        "() => [...element.querySelectorAll('.sv-swatch-marker')].every((mark) => "
        "mark.getAttribute('d') === MARKERS.star)"
    )
    assert loaded("() => element.querySelector('.sv-swatch').style.getPropertyValue('--dark')") == "#222"
