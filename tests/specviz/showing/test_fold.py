from __future__ import annotations

import json
import warnings
from dataclasses import replace
from typing import Any

from scripted import HOSTILE, started, stepped

from engine.events import Counts, Event, Node, Prefilled, SessionFinished, Stepped
from specviz.explaining import glossary
from specviz.showing import channel, tiles
from specviz.showing.channel import Streams
from specviz.showing.fold import ViewState, fold, fold_all
from specviz.showing.notices import Audited, Auditing, Ended, Failed, Happening, Opened, Preparing, Waiting
from specviz.showing.replay import replay
from specviz.showing.wire import Stream, step_view

TEXTS = ["Once", " upon", " a"]


def run(method: str = "scripted", num_steps: int = 3, session_id: str = "s1", reason: str = "eos") -> list[Event]:
    steps: list[Event] = [stepped(i, TEXTS if method != "plain" else ["Once"]) for i in range(num_steps)]
    counts = Counts(num_steps, 4 * num_steps, 2 * num_steps, 3 * num_steps, num_steps)
    last = SessionFinished(reason, counts, num_steps * 1_000_000)  # type: ignore[arg-type]
    return [started(method, session_id=session_id), Prefilled(3, 2_000_000, 2), *steps, last]


def whole() -> list[Happening]:
    plain: list[Happening] = [Opened("baseline"), *run("plain", 9, "p1")]
    return [*plain, Opened("method"), *run(), Auditing(), Audited("identical", "identical (9 tokens)"), Ended()]


def tile(state: ViewState, key: str) -> tiles.Tile:
    return next(found for found in tiles.tiles(state) if found.key == key)


def steps_of(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a page holds after these messages."""
    held: list[dict[str, Any]] = []
    for message in messages:
        held = message["steps"] if message["reset"] else held + message["steps"]
    return held


def test_phases_in_order() -> None:
    state, phases = ViewState(), []
    for happening in [Waiting(2), Preparing("Loading"), *whole()]:
        state = fold(state, happening)
        if not phases or phases[-1] != state.phase:
            phases.append(state.phase)
    assert phases == ["waiting", "preparing", "running", "auditing", "finished"]


def test_folding_changes_nothing_that_was_given() -> None:
    before = fold_all(ViewState(), whole()[:4])
    events = before.events
    fold_all(before, whole()[4:])
    assert before.events is events


def test_the_baseline_is_kept_beside_the_run() -> None:
    state = fold_all(ViewState(), whole())
    assert [len(state.plain_events), len(state.events)] == [12, 6]
    assert state.audit == Audited("identical", "identical (9 tokens)")


def test_the_last_run_stays_on_screen_until_the_next_one_starts() -> None:
    state = fold_all(ViewState(), [*whole(), Opened("method"), Failed("No.")])
    assert state.started is not None
    assert len(state.steps) == 3


def test_stopped_failed_and_interrupted_runs_say_so() -> None:
    def ended(*happenings: Happening) -> ViewState:
        return fold_all(ViewState(), [Opened("method"), *happenings, Ended()])

    assert ended(*run(reason="stopped")).phase == "stopped"
    assert ended(*run(reason="failed")).phase == "failed"
    assert ended(*run()[:-1]).phase == "interrupted"
    assert ended(Failed("No such model.")).alert == "No such model."
    assert ended(*run()[:3], Failed("It broke.")).phase == "failed"


def test_speedup_is_empty_unless_a_baseline_was_measured() -> None:
    alone = fold_all(ViewState(), [Opened("method"), *run(), Ended()])
    assert tile(alone, "speedup").value == "–"
    assert tile(alone, "speedup").note == "no baseline measured"
    beside = fold_all(ViewState(), whole())
    assert tile(beside, "speedup").value == "3.00"
    assert "measured" in tile(beside, "speedup").note


def test_a_run_cut_short_has_no_speedup() -> None:
    happenings = [Opened("baseline"), *run("plain", 9, "p1"), Opened("method"), *run(reason="stopped"), Ended()]
    assert tile(fold_all(ViewState(), happenings), "speedup").value == "–"


def test_every_tile_states_its_definition() -> None:
    for found in tiles.tiles(fold_all(ViewState(), whole())):
        assert set(found.terms) <= set(glossary.terms()), found.key


def test_a_different_text_is_an_alert() -> None:
    state = fold(fold_all(ViewState(), whole()), Audited("DIFFERENT", "DIFFERENT at token 4"))
    assert "DIFFERENT at token 4" in state.alert
    assert "bad" in tile(state, "audit").tone


def test_twenty_steps_without_an_accepted_draft_are_pointed_out() -> None:
    idle = [
        Stepped(i, 1, (Node(5, " x", -1, "rejected"),), (), stepped(i, ["a"]).emitted, 1, 1, 1, 1, 1, i)
        for i in range(20)
    ]
    state = fold_all(ViewState(), [Opened("method"), started(), *idle])
    assert "no draft accepted for 20 steps" in tiles.status_text(state)


def test_deltas_add_up_to_the_snapshot() -> None:
    stream, state, messages = Stream(), ViewState(), []
    for happening in whole():
        state = fold(state, happening)
        messages.append(json.loads(stream.delta(state)))
    snapshot = json.loads(stream.snapshot(state))
    assert [message["seq"] for message in messages] == list(range(len(messages)))
    assert steps_of(messages) == snapshot["steps"]
    assert snapshot["seq"] == len(messages)
    assert snapshot["status"]["phase"] == "finished"


def test_each_step_is_sent_once() -> None:
    stream, state = Stream(), fold_all(ViewState(), [Opened("method"), *run()[:4]])
    assert len(json.loads(stream.delta(state))["steps"]) == 2
    assert json.loads(stream.delta(state))["steps"] == []
    more = json.loads(stream.delta(fold(state, stepped(2, TEXTS))))
    assert [step["n"] for step in more["steps"]] == [2]
    assert more["reset"] is False


def test_a_page_that_missed_something_gets_everything() -> None:
    streams = Streams(most=2)
    stream = streams.keep(Stream())
    stream.delta(fold_all(ViewState(), [Opened("method"), *run()]))
    assert len(json.loads(streams.snapshot(stream.id))["steps"]) == 3
    assert streams.snapshot("nobody") == streams.snapshot(None) == ""
    streams.keep(Stream())
    streams.keep(Stream())
    assert streams.snapshot(stream.id) == ""


def test_a_refusal_leaves_the_last_run_on_the_page() -> None:
    stream = Stream()
    stream.delta(ViewState(phase="preparing"))
    message = json.loads(stream.snapshot(fold_all(ViewState(), [Opened("method"), Failed("Too long."), Ended()])))
    assert message["alert"] == "Too long."
    assert message["reset"] is False
    assert "tiles" not in message


def test_hostile_text_travels_as_ascii_without_tags() -> None:
    state = fold_all(ViewState(), [Opened("method"), started(prompt=HOSTILE[0]), stepped(0, HOSTILE)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = Stream().delta(state)
    assert text.isascii()
    assert "<" not in text
    shown = [token["t"] for token in json.loads(text)["steps"][0]["k"]]
    assert shown == [word.replace("\ud800", "\\ud800") for word in HOSTILE]


def test_an_alert_is_never_the_same_text_twice() -> None:
    assert channel.alert("No.") != channel.alert("No.")
    assert json.loads(channel.alert("a <b> \udc00"))["alert"] == "a <b> \\udc00"


def test_ghosts_stand_before_the_token_that_took_their_place() -> None:
    view = step_view(stepped(0, TEXTS), 1.0)
    assert [(ghost["t"], ghost["at"], ghost["s"]) for ghost in view["g"]] == [
        (" no", 2, "rejected"),
        (" way", 2, "unreached"),
    ]
    assert [token["o"] for token in view["k"]] == ["accepted", "accepted", "correction"]
    assert [token["d"] for token in view["k"]] == [1, 2, 3]


def test_ghosts_of_a_tree_keep_their_places_and_are_limited() -> None:
    nodes = (
        Node(1, "a", -1, "accepted"),
        Node(2, "b", -1, "rejected"),
        Node(3, "c", 0, "rejected"),
        Node(4, "d", 1, "unreached"),
        *(Node(9, "z", 0, "rejected") for _ in range(40)),
    )
    step = Stepped(0, 1, nodes, (0,), stepped(0, ["a", "x"]).emitted, 1, 1, 1, 1, 1, 4)
    view = step_view(step, 1.0)
    assert [(ghost["t"], ghost["at"], ghost["d"]) for ghost in view["g"][:3]] == [("b", 0, 1), ("d", 0, 2), ("c", 1, 2)]
    assert len(view["g"]) + view["more"] == 43
    assert view["more"] == 19


def test_a_step_says_which_of_two_methods_drafted_it() -> None:
    step = stepped(0, TEXTS)
    assert "by" not in step_view(step, 1.0)
    assert step_view(replace(step, proposed_by="copyspec"), 1.0)["by"] == "copyspec"


def test_times_are_divided_as_in_the_metrics() -> None:
    view = step_view(stepped(0, TEXTS), 1.0)
    assert view["ms"] == [0.3, 0.55, 0.15]


def test_a_replay_folds_to_the_same_view_as_the_live_run() -> None:
    class Archive:
        baseline_run_id = "p1"
        audit = {"verdict": "identical", "text": "identical (9 tokens)"}  # noqa: RUF012

        def get_run(self, run_id: str) -> Archive:
            return self

        def events(self, run_id: str) -> list[Event]:
            return run("plain", 9, "p1") if run_id == "p1" else run()

    live, again = fold_all(ViewState(), whole()), fold_all(ViewState(), replay(Archive(), "s1"))
    assert again == live
