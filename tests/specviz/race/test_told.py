"""What is sent to a page of a step, a run and a race: every number of it under its own name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from scripted import ScriptedDevice, started, stepped
from stored import session
from stored import started as begun

from engine.events import Candidate, Counts, Emitted, Event, Node, Prefilled, SessionFinished, Stepped
from specviz.race import board, words
from specviz.race.differences import differences, warnings
from specviz.race.divergence import divergence
from specviz.race.earlier import earlier
from specviz.race.fold import RaceState, fold_race
from specviz.race.wire import RaceStream
from specviz.showing import channel
from specviz.showing.channel import Streams
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.notices import Audited, Ended, Failed, InLane, Lane, Opened, Preparing, Racing, Waiting
from specviz.showing.trace import trace
from specviz.showing.wire import MAX_GHOSTS, Stream, step_view
from specviz.store import GroupRow

TOP = (Candidate(21, " c", 0.7), Candidate(30, " z", 0.25))
NODES = (
    Node(10, " a", -1, "accepted", 0.9, 0.8),
    Node(11, " b", -1, "rejected", 0.05, 0.15),
    Node(20, " d", 0, "accepted", 0.6, 0.55),
    Node(21, " c", 0, "rejected", 0.35, 0.3),
    Node(30, " z", 2, "rejected", 0.25, 0.45),
    Node(40, " e", 4, "unreached", 0.125, 0.65),
)
EMITTED = (
    Emitted(10, " a", "accepted", 0, 0.9),
    Emitted(20, " d", "accepted", 2, 0.6),
    Emitted(30, "", "correction", None, 0.25, TOP),
)
STEP = Stepped(4, 9, NODES, (0, 2), EMITTED, 1_000_000, 20_000_000, 300_000, 4_000_000, 50_000, 12)


def test_a_step_is_told_with_every_number_in_its_place() -> None:
    view = step_view(STEP, 12.3456)
    assert (view["n"], view["at"], view["ms"], view["len"], view["more"]) == (4, 12.346, [1.0, 24.0, 0.35], 2, 0)
    shown = [(k["id"], k["t"], k["o"], k["p"], k["q"], k["d"]) for k in view["k"]]
    assert shown == [
        (10, " a", "accepted", 0.9, 0.8, 1),
        (20, " d", "accepted", 0.6, 0.55, 2),
        (30, "", "correction", 0.25, 0.45, 3),
    ], "the target drew a token that had been drafted at this very place and was not accepted"
    assert view["k"][2]["raw"] == " z"
    assert view["k"][2]["a"] == [[" c", 21, 0.7], [" z", 30, 0.25]]
    assert "raw" not in view["k"][0]


def test_a_token_that_was_drafted_elsewhere_has_no_draft_probability() -> None:
    """Not below the last accepted node: 11 hangs at the root, 21 below the first accepted node."""
    for token, wanted in ((11, None), (21, None), (30, 0.45)):
        step = replace(STEP, emitted=(*EMITTED[:2], Emitted(token, " x", "correction", None, 0.1)))
        assert step_view(step, 0.0)["k"][2]["q"] == wanted
    first = replace(STEP, path=(), emitted=(Emitted(11, " b", "correction", None, 0.05),))
    assert step_view(first, 0.0)["k"][0]["q"] == 0.15


def test_ghosts_stand_before_the_token_that_took_their_place() -> None:
    ghosts = [(g["t"], g["at"], g["d"], g["s"], g["p"], g["q"]) for g in step_view(STEP, 0.0)["g"]]
    assert ghosts == [
        (" b", 0, 1, "rejected", 0.05, 0.15),
        (" c", 1, 2, "rejected", 0.35, 0.3),
        (" z", 2, 3, "rejected", 0.25, 0.45),
        (" e", 2, 4, "unreached", 0.125, 0.65),
    ]


@pytest.mark.parametrize(("num_nodes", "num_more"), [(MAX_GHOSTS, 0), (MAX_GHOSTS + 1, 1)])
def test_a_step_shows_24_ghosts_and_counts_the_rest(num_nodes: int, num_more: int) -> None:
    nodes = tuple(Node(place, "x", -1, "rejected") for place in range(num_nodes))
    view = step_view(replace(STEP, nodes=nodes, path=(), emitted=EMITTED[2:]), 0.0)
    assert (len(view["g"]), view["more"]) == (MAX_GHOSTS, num_more)


def test_steps_stand_at_the_time_when_they_ended() -> None:
    state = fold_all(ViewState(), [Opened("method"), started(), STEP, replace(STEP, step=5)])
    assert [step["at"] for step in json.loads(Stream().delta(state))["steps"]] == [25.35, 50.7]
    stream = Stream()
    stream.delta(state)
    again = json.loads(stream.delta(fold_all(state, [Opened("method"), started(session_id="s2"), STEP])))
    assert ([step["at"] for step in again["steps"]], again["reset"]) == ([25.35], True)


def test_a_message_says_whose_run_it_is() -> None:
    state = fold_all(ViewState(), [Opened("baseline"), started(session_id="s7"), STEP])
    message = json.loads(Stream().delta(state))
    status = message["status"]
    assert (status["session"], status["role"], status["phase"], status["isPending"]) == (
        "s7",
        "baseline",
        "running",
        True,
    )
    ended = json.loads(Stream().snapshot(fold_all(state, [Failed("No."), Ended()])))
    assert (ended["status"]["isPending"], ended["snapshot"], ended["alert"]) == (False, True, "No.")
    assert "spoken" in ended
    waiting = json.loads(Stream().delta(fold_all(ViewState(), [Waiting(2)])))
    assert (waiting["status"]["isPending"], waiting["status"]["session"]) == (False, "")


def test_a_page_is_drawn_anew_where_something_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "DRAWN_EVERY_S", 1e9)
    stream = Stream()
    state = fold_all(ViewState(), [Waiting(2)])
    assert "status" in json.loads(stream.delta(state))
    assert "status" not in json.loads(stream.delta(state)), "nothing has changed, and it was drawn just now"
    assert "status" in json.loads(stream.delta(fold_all(state, [Waiting(1)])))
    assert "status" in json.loads(stream.delta(fold_all(state, [Preparing("Loading")])))
    monkeypatch.setattr(channel, "DRAWN_EVERY_S", -1.0)
    assert "status" in json.loads(stream.delta(fold_all(state, [Preparing("Loading")]))), "it is time again"


def test_a_race_is_drawn_anew_where_something_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "DRAWN_EVERY_S", 1e9)
    stream, state = RaceStream({}), fold_race(RaceState(), Racing((Lane("plain", {}), Lane("m", {})), (0, 1), "g"))
    assert "rows" in json.loads(stream.delta(state))
    assert "rows" not in json.loads(stream.delta(state))
    state = fold_race(state, InLane(0, started()))
    assert "rows" in json.loads(stream.delta(state)), "a lane has begun"
    state = fold_race(state, InLane(0, STEP))
    assert "rows" not in json.loads(stream.delta(state)), "its rows take time from the run"
    monkeypatch.setattr(channel, "DRAWN_EVERY_S", -1.0)
    shown = json.loads(stream.delta(state))["rows"]
    assert [card["emitted"] for card in shown] == [3, 0]


def test_the_last_streams_are_kept_and_the_oldest_is_not() -> None:
    streams = Streams(most=2)
    first, second, third = (streams.keep(Stream()) for _ in range(3))
    assert streams.snapshot(first.id) == ""
    for stream in (second, third):
        assert json.loads(streams.snapshot(stream.id))["stream"] == stream.id


# the inspector's trace


def test_a_trace_has_every_number_in_its_place() -> None:
    events: list[Event] = [started(), Prefilled(17, 1, 16), STEP, SessionFinished("length", Counts(1, 6, 2, 3, 1), 9)]
    told = trace(events)
    (step,) = told["steps"]
    assert (told["run"]["promptTokens"], told["run"]["reason"], told["run"]["id"]) == (17, "length", "s1")
    assert (step["n"], step["kv"], tuple(step["path"]), step["ms"]) == (4, 12, (0, 2), [1.0, 20.0, 4.0, 0.3, 0.05])
    assert step["id"] == [10, 11, 20, 21, 30, 40]
    assert step["p"] == [0.9, 0.05, 0.6, 0.35, 0.25, 0.125]
    assert step["q"] == [0.8, 0.15, 0.55, 0.3, 0.45, 0.65]
    assert [told["pieces"][place] for place in step["t"]] == [" a", " b", " d", " c", " z", " e"]
    last = step["k"][-1]
    assert (last["id"], told["pieces"][last["t"]], told["pieces"][last["raw"]], last["o"]) == (
        30,
        "",
        " z",
        "correction",
    )
    assert (last["node"], last["p"]) == (None, 0.25)
    assert [(told["pieces"][text], token, p) for text, token, p in last["a"]] == [(" c", 21, 0.7), (" z", 30, 0.25)]
    assert [token["node"] for token in step["k"]] == [0, 2, None]
    assert step["ranks"] == [1, 1]
    assert step["cuts"]["topk"] == [[1, 4, 2, None], [2, 6, 2, None]]
    assert step["cuts"]["depth"] == [[1, 2, 1, None], [2, 4, 2, None], [3, 5, 2, None], [4, 6, 2, None]]


# a race's words and cards


def row(label: str, **fields: Any) -> board.Row:
    given = board.Row(label, "m", "exact", 1, "finished", 4, 8, 1.0, 20.0, None, 4.0, 0.5, 0.25, None, "", "", "")
    return replace(given, **fields)


ENDED = RaceState("ended")


def test_the_fastest_lane_is_named() -> None:
    rows = [row("plain", method="plain"), row("slow", speedup=0.5), row("fast", speedup=2.25), row("also", speedup=2.0)]
    assert words.status_text(ENDED, rows) == "Finished: fast was fastest, 2.25 × plain decoding."
    rows.append(row("bad", problem="It broke."))
    assert words.status_text(ENDED, rows).endswith("× plain decoding. 1 of 5 lanes failed.")
    assert words.status_text(ENDED, [rows[0], rows[-1]]) == "Finished: 2 lanes. 1 of 2 lanes failed."


def test_a_race_says_which_lane_is_on_the_device() -> None:
    lanes = (Lane("plain", {}), Lane("scripted", {}))
    state = fold_race(fold_race(RaceState(), Waiting(1)), Racing(lanes, (1, 0), "g"))
    rows = [row("first", turn=2), row("second", turn=1)]
    assert words.status_text(fold_race(RaceState(), Waiting(1)), []) == "Number 1 in the queue: one run is going on."
    assert words.status_text(fold_race(RaceState(), Preparing("x")), []) == "Making ready …"
    assert words.status_text(state, rows) == "The next lane is being warmed up …"
    state = fold_race(state, InLane(1, Preparing("Loading toy")))
    assert words.status_text(state, rows) == "Loading toy …"
    state = fold_race(state, InLane(1, started()))
    assert (state.going_on, words.status_text(state, rows)) == (1, "Lane 1 of 2: second, alone on the device")
    assert words.order_text(state, rows).startswith(
        "Run one after another, each alone, in an order drawn by lot: second, first."
    )
    assert (state.turn(0), state.turn(1), words.order_text(ENDED, rows)) == (2, 1, "")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"verdict": "identical"}, ("✓ same text", "good")),
        ({"verdict": "near-tie"}, ("near-tie", "fair")),
        ({"verdict": "DIFFERENT"}, ("DIFFERENT", "bad")),
        ({"verdict": "DIFFERENT", "guarantee": "lossy"}, ("differs (lossy)", "fair")),
        ({"verdict": "not auditable"}, ("not auditable", "")),
        ({"verdict": "identical", "method": "plain"}, ("baseline", "")),
        ({"problem": "x", "phase": "failed", "emitted": 3}, ("failed", "bad")),
        ({"problem": "x", "phase": "failed", "emitted": 0}, ("not run", "bad")),
        ({}, ("", "")),
    ],
)
def test_a_lanes_verdict_has_its_words(fields: dict[str, Any], said: tuple[str, str]) -> None:
    assert words.verdict(row("a", **fields)) == said


def test_a_divergence_says_where() -> None:
    assert words.divergence_text(row("a", verdict_text="identical (4 tokens)"), None) == (
        "No token differs. identical (4 tokens)"
    )
    found = divergence([started(), stepped(0, ["a", "b", "c"])], [started(), stepped(0, ["a", "b"])])
    assert found is not None
    assert (found.position, found.plain.token_id, found.run.token_id) == (1, 101, 200)
    text = words.divergence_text(row("a", verdict="near-tie", verdict_text="near-tie at token 1."), found)
    assert text.startswith("Token 1 is the first that differs. near-tie at token 1. The two scores are closer than")
    assert ".." not in text
    side = words.side(found.run)
    assert (side["id"], side["step"], side["t"], side["following"]) == (200, 0, "b", "")


def test_a_divergence_shows_twelve_tokens_before_and_eight_behind() -> None:
    def events(last: str) -> list[Event]:
        letters = [*"abcdefghijklmnop", last, *"123456789"]
        return [started(), *(replace(STEP, nodes=(), path=(), emitted=(Emitted(ord(x), x, "plain"),)) for x in letters)]

    found = divergence(events("X"), events("Y"))
    assert found is not None
    assert (found.position, found.context) == (16, "efghijklmnop")
    assert (found.plain.text, found.run.text, found.plain.following) == ("X", "Y", "12345678")


def test_the_end_of_a_race_is_said_lane_by_lane() -> None:
    rows = [row("plain", method="plain"), row("fast", speedup=2.0, tokens_per_second=40.0), row("bad", problem="Broke")]
    assert words.spoken_text(ENDED, rows) == (
        "Finished: fast was fastest, 2.00 × plain decoding. 1 of 3 lanes failed. plain: 20.0 tokens per second. "
        "fast: 40.0 tokens per second, 2.00 times plain. bad: Broke"
    )


def raced() -> RaceState:
    lanes = (Lane("plain", {}, "p"), Lane("draft_model", {}, "f"))
    plain, fast = session("p", method="plain"), session("f")
    views = (
        fold_all(ViewState(), [Opened("method"), *plain, Ended()]),
        fold_all(ViewState(), [Opened("method"), *fast, Audited("identical", "identical (4 tokens)"), Ended()]),
    )
    return RaceState("ended", lanes=lanes, views=views, order=(1, 0), group_id="g")


def test_a_lanes_card_has_its_own_figures() -> None:
    methods = {method.name: method for method in ScriptedDevice().methods()}
    message = json.loads(RaceStream(methods).snapshot(raced()))
    plain, fast = message["rows"]
    assert (plain["label"], plain["turn"], plain["speedup"], plain["verdict"]) == (
        "Plain decoding",
        2,
        "1.00",
        "baseline",
    )
    assert (fast["label"], fast["turn"], fast["speedup"], fast["verdict"]) == ("draft_model", 1, "1.00", "✓ same text")
    assert (fast["emitted"], fast["limit"], fast["speed"], fast["seconds"]) == (4, 20, "51,948,051.9", "0.00")
    assert message["race"]["ids"] == ["p", "f"]
    assert message["board"]["diffs"] == [None, {"text": "No token differs. identical (4 tokens)", "tone": "good"}]
    assert [column["heading"] for column in message["board"]["columns"]][:3] == ["Method", "Ran as", "Tokens"]
    assert message["board"]["cells"][1][1:3] == ["1", "4"]


def test_a_lane_that_is_not_in_the_catalog_keeps_its_name() -> None:
    methods = {method.name: method for method in ScriptedDevice().methods()}
    assert board.label(Lane("gone", {"depth": 3}), methods) == "gone"
    assert board.label(Lane("scripted", {"depth": 3, "model": "x"}), methods) == "Scripted drafts · model x"
    assert board.label(Lane("scripted", {"depth": 4}), methods) == "Scripted drafts · depth 4"
    assert board.label(Lane("scripted", {"model": "x" * 50}), methods) == f"Scripted drafts · model {'x' * 40}"


def test_the_steps_of_each_lane_stand_at_its_own_time() -> None:
    lanes = json.loads(RaceStream({}).snapshot(raced()))["lanes"]
    assert [[step["at"] for step in lane] for lane in lanes] == [[0.0, 0.0]] * 2, "nanoseconds"
    long = tuple(replace(step, target_ns=1_000_000 * (step.step + 1)) for step in raced().views[0].steps)
    state = raced()
    views = (replace(state.views[0], events=(*state.views[0].events[:2], *long)), state.views[1])
    first, _ = json.loads(RaceStream({}).snapshot(replace(state, views=views)))["lanes"]
    assert [step["at"] for step in first] == [1.0, 3.0]


def test_a_lanes_speedup_appears_when_the_plain_lane_has_ended() -> None:
    """Though nothing has happened in that lane since."""
    whole = raced()
    going_on = replace(whole.views[0], events=whole.views[0].events[:-1], phase="running")
    before = replace(whole, phase="racing", views=(going_on, whole.views[1]))
    stream = RaceStream({})
    assert json.loads(stream.delta(before))["rows"][1]["speedup"] == "–"
    assert json.loads(stream.delta(replace(whole, lanes=before.lanes)))["rows"][1]["speedup"] == "1.00"


def test_settings_that_any_of_the_runs_differs_in_are_shown() -> None:
    runs = [begun("a"), None, begun("b"), begun("c", dtype="float32", config={"seed": 8, "top_k": 3})]
    found = {setting.name: setting.values for setting in differences(runs)}
    assert found["dtype"] == ("bfloat16", "", "bfloat16", "float32")
    assert found["seed"] == ("7", "", "7", "8")
    assert found["top k"] == ("", "", "", "3")
    assert "model" not in found
    assert warnings(runs) == ("These runs have different dtypes and seeds: no speedup is shown across them.",)
    assert warnings(runs[:3]) == differences(runs[:3]) == ()


# earlier races


class Groups:
    """So many races, of which one run of two is there."""

    def __init__(self, num_races: int) -> None:
        lanes = [
            {"method": "plain", "options": {}, "run_id": "p"},
            {"method": "scripted", "options": {}, "run_id": "s"},
        ]
        self.groups = [
            GroupRow(f"g{n}", "2026-01-01T10:20:30+00:00", "comparison", f"Race {n}", {"lanes": lanes})
            for n in range(num_races)
        ]

    def list_groups(self, limit: int, offset: int, *, kind: str | None) -> list[GroupRow]:
        return self.groups[offset : offset + limit] if kind == "comparison" else []

    def runs_of_groups(self, group_ids: Any) -> dict[str, list[str]]:
        return {group_id: ["s"] for group_id in group_ids}


@pytest.mark.parametrize(("num_races", "has_older"), [(10, False), (11, True)])
def test_ten_earlier_races_are_a_page(num_races: int, has_older: bool) -> None:
    found = earlier(Groups(num_races), {}, 0)
    assert (len(found["rows"]), found["hasOlder"]) == (10, has_older)
    second = earlier(Groups(num_races), {}, 1)
    assert [race["prompt"] for race in second["rows"]] == ["Race 10"] * has_older
    first = found["rows"][0]
    assert (first["when"], first["runs"], first["ids"]) == ("2026-01-01 10:20", 1, ["p", "s"])
    assert first["note"] == "1 of its runs is not here: deleted, or never run."


def test_a_lane_that_failed_is_not_missed() -> None:
    groups = Groups(1)
    groups.groups[0].details["lanes"][0]["problem"] = "It broke."
    assert earlier(groups, {}, 0)["rows"][0]["note"] == ""
    groups.groups[0].details["lanes"].append({"method": "m", "run_id": "x"})
    groups.groups[0].details["lanes"].append({"method": "m", "run_id": "y"})
    assert earlier(groups, {}, 0)["rows"][0]["note"] == "2 of its runs are not here: deleted, or never run."


def test_an_alert_changes_nothing_else() -> None:
    assert set(json.loads(channel.alert("No."))) == {"alert", "nonce"}
