"""A race: its order, its isolation, its lanes that fail, what is stored of it and what opens again."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from scripted import HOSTILE, ClockedDevice, ScriptedDevice, ScriptedRecorder, hostile_device, started, stepped
from stored import session

from engine.errors import BadInput, RunFailed
from engine.events import Candidate, Emitted, Event, SessionFinished, SessionStarted, Stepped
from engine.metrics import TimePerToken
from specviz.decoding import request
from specviz.decoding.device import Request
from specviz.decoding.session import Sessions
from specviz.figures.race import acceptance, lane_keys, time_split, tokens_over_time, waste
from specviz.race import board, table, words
from specviz.race.course import NOT_RUN, WARM_UP_TOKENS, course
from specviz.race.differences import differences, warnings
from specviz.race.divergence import divergence
from specviz.race.fold import RaceState, fold_all
from specviz.race.reopening import reopen, run_ids
from specviz.race.wire import RaceStream
from specviz.showing.fold import ViewState
from specviz.showing.notices import Happening, InLane, Lane, Racing, Unsaved
from specviz.store import Store, StoreError, UnknownRun, open_store

DEPTHS = (2, 3, 4)


@dataclass
class Racer(ScriptedDevice):
    """Breaks down for one draft depth; holds nothing between its sessions."""

    bad_depth: int = 0
    lengths: tuple[int, ...] = ()

    def generate(self, request: Request, *rest: Any) -> Iterator[Event]:
        self.lengths += (request.config.max_new_tokens,)
        if self.bad_depth and request.options.get("depth") == self.bad_depth:
            raise RunFailed("This depth breaks the scripted device.")
        return super().generate(request, *rest)


def asked(device: ScriptedDevice, depths: tuple[int, ...] = DEPTHS, num_tokens: int = 30) -> tuple[Request, ...]:
    lanes = [{"method": "scripted", "options": {"scripted": {"depth": depth}}["scripted"]} for depth in depths]
    settings = {"lanes": lanes, "sampling": {"max_new_tokens": num_tokens}}
    return request.parse_race(device, "Tell a story.", "toy", json.dumps(settings))


def run_all(device: ScriptedDevice, store: Any, lanes: tuple[Request, ...], seed: int = 1) -> list[Happening]:
    work = course(lanes, random.Random(seed))
    return [happening for batch in Sessions(device, store).perform(work, "v") for happening in batch]


def in_lane(happenings: list[Happening], kind: type) -> list[tuple[int, Any]]:
    lanes = [happening for happening in happenings if isinstance(happening, InLane)]
    return [(lane.place, lane.happening) for lane in lanes if isinstance(lane.happening, kind)]


def methods(device: ScriptedDevice) -> dict[str, Any]:
    return {method.name: method for method in device.methods()}


@pytest.fixture
def store() -> Iterator[Store]:
    with open_store(":memory:") as opened:
        yield opened


# ---- what may race


def test_plain_decoding_always_runs() -> None:
    lanes = asked(ScriptedDevice())
    assert [lane.method for lane in lanes] == ["plain", "scripted", "scripted", "scripted"]
    assert not any(lane.measures_baseline for lane in lanes)


@pytest.mark.parametrize(
    ("lanes", "says"),
    [
        ([], "a race has 2 to 8"),
        ([{"method": "plain"}], "This race has 1 lanes"),
        ([{"method": "scripted", "options": {"depth": d}} for d in range(1, 9)], "This race has 9 lanes"),
        ([{"method": "scripted"}] * 9, "9 lanes are too many"),
        ([{"method": "scripted"}] * 2, "there twice with the same options"),
        ([{"method": "scripted"}, {"method": "scripted", "options": {"depth": 3}}], "there twice"),
        ([{"method": "sorcery"}], "there are: plain, scripted"),
        ([{"method": "scripted", "options": {"depth": 9}}], "from 1 to 8 tokens"),
        ([{"method": "scripted", "options": [1]}], "cannot be read"),
        (["scripted"], "The lane cannot be read"),
        ("scripted", "The lanes cannot be read"),
        (None, "The lanes cannot be read"),
    ],
)
def test_a_race_that_cannot_be_run_gets_a_sentence(lanes: Any, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        request.parse_race(ScriptedDevice(), "Hi", "toy", json.dumps({"lanes": lanes}))
    assert says in str(caught.value)


# ---- the course


def test_lanes_run_one_after_another_in_an_order_drawn_by_lot() -> None:
    orders = set()
    for seed in range(6):
        device = Racer()
        seen = run_all(device, ScriptedRecorder(), asked(device), seed)
        racing = next(happening for happening in seen if isinstance(happening, Racing))
        assert sorted(racing.order) == [0, 1, 2, 3]
        begun = [place for place, _ in in_lane(seen, SessionStarted)]
        ended = [place for place, _ in in_lane(seen, SessionFinished)]
        assert begun == ended == list(racing.order)
        orders.add(racing.order)
    assert len(orders) > 1


def test_no_lane_begins_before_the_one_before_it_has_ended() -> None:
    device = Racer()
    seen = run_all(device, ScriptedRecorder(), asked(device))
    kinds = [type(h.happening) for h in seen if isinstance(h, InLane)]
    turns = [kind for kind in kinds if kind in (SessionStarted, SessionFinished)]
    assert turns == [SessionStarted, SessionFinished] * 4


def test_all_lanes_read_the_same_prompt(store: Store) -> None:
    device = ClockedDevice()
    starts = [start for _, start in in_lane(run_all(device, store, asked(device)), SessionStarted)]
    assert [start.prompt_ids for start in starts] == [(1,)] * 4


def test_each_run_has_a_warm_up_that_nobody_keeps() -> None:
    device, store = Racer(), ScriptedRecorder()
    run_all(device, store, asked(device, num_tokens=30))
    assert device.lengths == (WARM_UP_TOKENS, 30) * 4
    assert len(store.runs) == 4
    assert all(sum(len(e.emitted) for e in run if isinstance(e, Stepped)) == 30 for run in store.runs.values())


def test_the_runs_are_one_group_that_knows_lanes_and_order() -> None:
    device, store = Racer(), ScriptedRecorder()
    seen = run_all(device, store, asked(device))
    racing = next(happening for happening in seen if isinstance(happening, Racing))
    group = store.groups[racing.group_id]
    assert (group["kind"], group["title"]) == ("comparison", "Tell a story.")
    assert tuple(group["order"]) == racing.order
    assert [lane["method"] for lane in group["lanes"]] == ["plain", "scripted", "scripted", "scripted"]
    assert {lane["run_id"] for lane in group["lanes"]} == set(store.runs)
    assert set(store.members.values()) == {racing.group_id}


def test_each_lane_is_audited_against_the_plain_one() -> None:
    device, store = Racer(), ScriptedRecorder()
    seen = run_all(device, store, asked(device))
    plain_id = next(event.session_id for place, event in in_lane(seen, SessionStarted) if place == 0)
    others = set(store.runs) - {plain_id}
    assert set(store.audits) == others
    assert store.baselines == dict.fromkeys(others, plain_id)
    state = fold_all(RaceState(), seen)
    assert [view.phase for view in state.views] == ["finished"] * 4
    assert [bool(view.audit) for view in state.views] == [False, True, True, True]


def test_a_lane_that_fails_says_why_and_the_others_go_on() -> None:
    device, store = Racer(bad_depth=3), ScriptedRecorder()
    seen = run_all(device, store, asked(device))
    state = fold_all(RaceState(), seen)
    assert [view.phase for view in state.views] == ["finished", "finished", "failed", "finished"]
    rows = board.rows(state, methods(device))
    assert rows[2].problem == "This depth breaks the scripted device."
    assert rows[2].speedup is None
    assert words.verdict(rows[2]) == ("not run", "bad")
    assert rows[3].speedup is not None
    problems = [lane["problem"] for lane in next(iter(store.groups.values()))["lanes"]]
    assert problems == [None, None, "This depth breaks the scripted device.", None]


def test_a_lane_that_breaks_in_the_middle_is_stored_as_failed() -> None:
    device, store = ScriptedDevice(), ScriptedRecorder()
    lanes = asked(device, depths=(2,))
    generate = device.generate

    def breaking(request: Request, *rest: Any) -> Iterator[Event]:
        device.broken_at = 4 if request.method == "scripted" and request.config.max_new_tokens == 30 else None
        return generate(request, *rest)

    device.generate = breaking  # type: ignore[method-assign]
    state = fold_all(RaceState(), run_all(device, store, lanes))
    (row,) = board.rows(state, methods(device))[1:]
    assert row.problem == "The scripted device broke."
    assert row.emitted == 12
    assert words.verdict(row) == ("failed", "bad")
    last = next(run[-1] for run in store.runs.values() if len(run) < 10)
    assert isinstance(last, SessionFinished)
    assert last.reason == "failed"


def test_without_a_whole_plain_run_there_is_no_speedup_and_no_verdict() -> None:
    device, store = ScriptedDevice(), ScriptedRecorder()
    lanes = asked(device)
    generate = device.generate

    def breaking(request: Request, *rest: Any) -> Iterator[Event]:
        if request.method == "plain":
            raise RunFailed("Plain decoding broke.")
        return generate(request, *rest)

    device.generate = breaking  # type: ignore[method-assign]
    state = fold_all(RaceState(), run_all(device, store, lanes))
    rows = board.rows(state, methods(device))
    assert rows[0].problem == "Plain decoding broke."
    assert [row.speedup for row in rows] == [None] * 4
    assert not store.audits


def test_stop_ends_the_lane_and_runs_no_other() -> None:
    device, store = ScriptedDevice(hold=threading.Event()), ScriptedRecorder()
    sessions, seen = Sessions(device, store), list[Happening]()
    assert device.hold is not None
    for batch in sessions.perform(course(asked(device, num_tokens=16), random.Random(1)), "v"):
        seen += batch
        if any(isinstance(happening, Racing) for happening in batch):
            sessions.stop("v")
            device.hold.set()
    state = fold_all(RaceState(), seen)
    assert not store.runs
    assert [view.alert for view in state.views] == [NOT_RUN] * 4
    assert words.status_text(state, board.rows(state, methods(device))) == "Stopped. What was decoded is kept."


def test_a_store_that_makes_no_group_does_not_stop_the_race() -> None:
    class Full(ScriptedRecorder):
        def add_group(self, *given: Any) -> str:
            raise StoreError("The disk of runs.db is full.")

    device, store = Racer(), Full()
    seen = run_all(device, store, asked(device))
    assert [type(happening) for happening in seen[:2]] == [Racing, Unsaved]
    assert len(store.runs) == 4
    assert "The disk of runs.db is full." in fold_all(RaceState(), seen).alert


def test_an_audit_that_breaks_costs_only_its_verdict() -> None:
    device = Racer()
    device.audit = lambda *given: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    state = fold_all(RaceState(), run_all(device, ScriptedRecorder(), asked(device)))
    rows = board.rows(state, methods(device))
    assert [row.verdict for row in rows] == ["", "not audited", "not audited", "not audited"]
    assert not any(row.problem for row in rows)


# ---- numbers


def test_labels_tell_lanes_of_one_method_apart() -> None:
    device = Racer()
    state = fold_all(RaceState(), run_all(device, ScriptedRecorder(), asked(device)))
    labels = [row.label for row in board.rows(state, methods(device))]
    assert labels == ["Plain decoding", "Scripted drafts · depth 2", "Scripted drafts", "Scripted drafts · depth 4"]


def test_the_speedup_is_against_the_plain_lane() -> None:
    device = Racer()
    state = fold_all(RaceState(), run_all(device, ScriptedRecorder(), asked(device)))
    rows = board.rows(state, methods(device))
    assert rows[0].speedup is None
    assert rows[1].speedup == pytest.approx(3.0), "three tokens a step of the same length"


def test_tokens_over_time_begin_at_zero_and_end_at_the_last_token() -> None:
    steps = [stepped(0, ["a", "b"]), stepped(1, ["c"])]
    lines = tokens_over_time([[started(), *steps], []], [_row(), _row()])["series"]
    assert [(line["x"], line["y"]) for line in lines] == [([0.0, 0.001, 0.002], [0, 2, 3]), ([0.0], [0])]


def test_acceptance_by_position_tells_how_many_steps_it_counts() -> None:
    figure = acceptance([[stepped(0, ["a", "b"]), stepped(1, ["c", "d", "e"])], []], [_row(), _row("Other")])
    (line,) = figure["series"]
    assert (line["x"], line["y"], line["n"]) == ([1, 2, 3, 4], [100.0, 50.0, 0.0, 0.0], [2, 2, 2, 1])
    assert line["labels"][1] == "50 % at depth 2 (n = 2)"
    assert figure["table"]["rows"][1] == ["Draft model", 2, "50 %", 2]


def test_lanes_of_one_method_have_colours_of_their_own() -> None:
    plain = replace(_row("Plain"), method="plain")
    assert lane_keys([_row(), plain, _row(), plain]) == ["lane 0", "plain", "lane 2", "lane 3"]
    split = time_split([plain, replace(_row(), time_per_token=TimePerToken(1.0, 2.0, 0.5))])
    assert [(series["name"], series["x"], series["y"]) for series in split["series"]] == [
        ("draft", ["Draft model"], [1.0]),
        ("target", ["Draft model"], [2.0]),
        ("host", ["Draft model"], [0.5]),
    ]
    assert waste([_row(), plain])["series"][0]["y"] == [1.25, 1.25]


# ---- where texts part


def emitted(*ids: int, prob: float = 0.6) -> list[Event]:
    other = (Candidate(9, " fox", 0.5), Candidate(8, " cat", 0.4))
    tokens = tuple(Emitted(number, f" t{number}", "plain", None, prob, other) for number in ids)
    return [started(), replace(stepped(3, ["x"]), emitted=tokens)]


def test_the_first_divergence_has_both_probabilities_on_both_sides() -> None:
    found = divergence(emitted(1, 2, 9, 5), emitted(1, 2, 8, 6, prob=0.41))
    assert found is not None
    assert (found.position, found.context) == (2, " t1 t2")
    assert (found.plain.token_id, found.plain.plain_prob, found.plain.run_prob) == (9, 0.6, 0.5)
    assert (found.run.token_id, found.run.plain_prob, found.run.run_prob) == (8, 0.4, 0.41)
    assert (found.plain.following, found.run.following, found.run.step) == (" t5", " t6", 3)


def test_texts_of_which_one_is_shorter_do_not_part() -> None:
    assert divergence(emitted(1, 2, 3), emitted(1, 2)) is None
    assert divergence([], emitted(1)) is None


def test_a_token_that_was_not_considered_has_no_probability() -> None:
    found = divergence(emitted(1), emitted(2))
    assert found is not None
    assert found.plain.run_prob is None


@pytest.mark.parametrize(
    ("verdict", "guarantee", "says"),
    [
        ("near-tie", "exact", "closer than rounding"),
        ("lossy", "lossy", "This method is lossy"),
        ("DIFFERENT", "lossy", "This method is lossy"),  # as former versions stored it
        ("DIFFERENT", "exact", "this is an error"),
        ("not auditable", "exact", "the same distribution"),
    ],
)
def test_a_divergence_is_explained_by_its_cause(verdict: str, guarantee: str, says: str) -> None:
    row = replace(_row(), verdict=verdict, guarantee=guarantee)
    assert says in words.divergence_text(row, divergence(emitted(1), emitted(2)))


# ---- the table to take away


def _row(label: str = "Draft model") -> board.Row:
    return board.Row(label, "draft_model", "exact", 2, "finished", 64, 64, 512.5, 124.9, 1.918, 2.5, 0.5, 1.25,
                     None, "identical", "identical to plain decoding (64 tokens)", "")  # fmt: skip


def test_markdown_has_a_row_a_lane_and_escapes_what_would_be_markup() -> None:
    text = table.to_markdown([_row(), _row("<b>|*x*`")])
    head, rule, first, second = text.splitlines()
    assert head.startswith("| Method | Ran as | Tokens | Time (s) |")
    assert rule.startswith("| --- | ---: |")
    assert "| 1.92 |" in first
    assert second.startswith(r"| &lt;b&gt;\|\*x\*\` |")
    assert len({line.replace(r"\|", "").count("|") for line in (head, rule, first, second)}) == 1


def test_csv_has_figures_in_full_and_no_formulas() -> None:
    head, first, second = table.to_csv([_row('a "quoted", label'), _row("=1+1")]).splitlines()
    assert head.split(",")[0] == "Method"
    assert first.startswith('"a ""quoted"", label",2,64,0.5125,124.9,1.918,')
    assert second.startswith("'=1+1,")


def test_latex_escapes_its_own_signs() -> None:
    text = table.to_latex([_row(r"50% & $x_1$ \input{a} ~^#")])
    assert r"50\% \& \$x\_1\$ \textbackslash{}input\{a\} \textasciitilde{}\textasciicircum{}\#" in text
    assert text.startswith(r"\begin{tabular}{lrrrrrrrrrrrl}")


def test_a_lane_without_figures_has_dashes() -> None:
    row = replace(_row(), speedup=None, tokens_per_second=None, problem="It broke.")
    assert table.cells(row)[4:6] == ["–", "–"]
    assert table.cells(row)[-1] == "It broke."


# ---- to the page


def test_deltas_and_a_snapshot_tell_the_same() -> None:
    device = hostile_device()
    lanes = asked(device, depths=(2,))
    stream, state, taken = RaceStream(methods(device)), RaceState(), [[], []]  # type: ignore[var-annotated]
    for batch in Sessions(device, ScriptedRecorder()).perform(course(lanes), "v"):
        state = fold_all(state, batch)
        message = json.loads(stream.delta(state))
        for lane, new in zip(taken, message["lanes"], strict=False):
            lane += new
    last = json.loads(stream.snapshot(state))
    assert last["lanes"] == taken
    assert last["race"]["phase"] == "ended"
    assert [card["verdict"] for card in last["rows"]] == ["baseline", "✓ same text"]
    assert len(last["board"]["cells"][0]) == len(last["board"]["columns"])
    assert set(last["board"]["copies"]) == {"Markdown", "CSV", "LaTeX"}
    assert last["board"]["diffs"][0] is None
    shown = {token["t"] for step in last["lanes"][0] for token in step["k"]}
    assert shown == {word.replace("\ud800", "\\ud800") for word in HOSTILE}


def test_charts_grow_when_a_lane_has_run_and_never_while_one_is_timed() -> None:
    device = Racer()
    stream, state = RaceStream(methods(device)), RaceState()
    grown: list[dict[str, Any]] = []
    for happening in run_all(device, ScriptedRecorder(), asked(device)):
        state = fold_all(state, [happening])
        message = json.loads(stream.delta(state))
        is_end = isinstance(happening, InLane) and isinstance(happening.happening, SessionFinished)
        assert ("charts" in message) == is_end
        grown += [message["charts"]] if is_end else []
    lines = [sum(len(series["x"]) > 1 for series in charts["tokens"]["series"]) for charts in grown]
    assert lines == [1, 2, 3, 4]
    last = json.loads(stream.snapshot(state))
    assert "charts" not in last
    assert {name: last["board"]["figures"][name] for name in ("tokens", "acceptance")} == grown[-1]


def test_a_page_that_comes_late_gets_the_charts_so_far() -> None:
    device = Racer()
    stream, state = RaceStream(methods(device)), RaceState()
    for happening in run_all(device, ScriptedRecorder(), asked(device)):
        state = fold_all(state, [happening])
        if isinstance(happening, InLane) and isinstance(happening.happening, SessionFinished):
            break
    late = json.loads(stream.snapshot(state))
    assert set(late["charts"]) == {"tokens", "acceptance"}
    assert "board" not in late


def test_no_message_holds_a_tag_or_a_lone_surrogate() -> None:
    device = hostile_device()
    lanes = tuple(replace(lane, prompt="".join(HOSTILE)) for lane in asked(device, depths=(2,)))
    stream, state = RaceStream(methods(device)), RaceState()
    for batch in Sessions(device, ScriptedRecorder()).perform(course(lanes), "v"):
        state = fold_all(state, batch)
    text = stream.snapshot(state)
    assert "<" not in text
    assert text.isascii()
    json.loads(text)["board"]["copies"]["CSV"].encode("utf-8")


# ---- from the store


def race_in(store: Store, device: ScriptedDevice, depths: tuple[int, ...] = DEPTHS) -> tuple[RaceState, list[str]]:
    state = fold_all(RaceState(), run_all(device, store, asked(device, depths)))
    assert store.flush()
    return state, [lane.run_id for lane in state.lanes]


def test_a_stored_race_opens_as_it_was(store: Store) -> None:
    device = Racer()
    live, ids = race_in(store, device)
    again = fold_all(RaceState(), reopen(store, ids))
    assert again.order == live.order
    assert again.group_id == live.group_id
    assert board.rows(again, methods(device)) == board.rows(live, methods(device))
    assert [view.events for view in again.views] == [view.events for view in live.views]


def test_a_lane_that_never_ran_still_says_why(store: Store) -> None:
    device = Racer(bad_depth=3)
    _, ids = race_in(store, device)
    rows = board.rows(fold_all(RaceState(), reopen(store, ids)), methods(device))
    assert rows[2].problem == "This depth breaks the scripted device."
    assert rows[2].label == "Scripted drafts"


def test_a_part_of_a_race_keeps_its_baseline(store: Store) -> None:
    device = Racer()
    live, ids = race_in(store, device)
    again = fold_all(RaceState(), reopen(store, ids[1:3]))
    wanted = [row.speedup for row in board.rows(live, methods(device))[1:3]]
    assert [row.speedup for row in board.rows(again, methods(device))] == wanted
    assert again.order == ()


def test_a_deleted_run_leaves_a_sentence_in_its_lane(store: Store) -> None:
    device = Racer()
    _, ids = race_in(store, device)
    store.delete_run(ids[1])
    rows = board.rows(fold_all(RaceState(), reopen(store, ids)), methods(device))
    assert "There is no run" in rows[1].problem
    assert rows[2].speedup is not None
    with pytest.raises(UnknownRun, match="nobody"):
        list(reopen(store, ["nobody", "nothing"]))


def test_runs_of_different_races_are_comparable_only_where_they_are_alike(store: Store) -> None:
    device = Racer()
    _, ids = race_in(store, device, (2,))
    other = tuple(replace(lane, prompt="Tell another story.") for lane in asked(device, (3,)))
    state = fold_all(RaceState(), run_all(device, store, other))
    assert store.flush()
    mixed = fold_all(RaceState(), reopen(store, [ids[0], state.lanes[1].run_id]))
    runs = [view.started for view in mixed.views]
    assert mixed.group_id == ""
    assert warnings(runs) == ("These runs have different prompts: no speedup is shown across them.",)
    assert [(found.name, found.values) for found in differences(runs)] == [
        ("prompt", ("Tell a story.", "Tell another story."))
    ]


def test_a_plain_lane_that_may_not_be_compared_gives_way_to_the_plain_run_beside_the_lane() -> None:
    other, own = tuple(session("p", method="plain", prompt_ids=(9,))), tuple(session("q", method="plain"))
    lanes = (Lane("plain", {}), Lane("draft_model", {}))
    fast = ViewState(events=tuple(session("f")), plain_events=own)
    assert RaceState(lanes=lanes, views=(ViewState(events=other), fast)).baseline(1) == own
    assert RaceState(lanes=lanes, views=(ViewState(events=own), fast)).baseline(1) == own
    assert RaceState(lanes=lanes, views=(ViewState(events=other), replace(fast, plain_events=()))).baseline(1) == ()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "names no runs"),
        (" , ", "names no runs"),
        (",".join("abcdefghi"), "9 runs are too many"),
        ("x" * 81, "not a"),
    ],
)
def test_an_address_that_names_no_few_runs_is_a_sentence(given: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        run_ids(given)
    assert run_ids("a, b,a,") == ("a", "b")
