"""The figures of one run in words and numbers, against runs of known counts and times."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scripted import started
from stored import finished, session
from stored import started as begun
from stored import stepped as two_nodes

from engine.events import Counts, Emitted, Event, Memory, Node, Prefilled, SessionFinished, Stepped
from engine.metrics import acceptance
from engine.run_report import notices
from specviz.showing import tiles
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.notices import Audited, Auditing, Ended, Failed, Happening, Opened, Preparing, Unsaved, Waiting

NODES = (Node(1, " a", -1, "accepted"), Node(2, " b", 0, "rejected"), Node(3, " c", 1, "unreached"))


def step(number: int, num_emitted: int, nodes: tuple[Node, ...] = NODES, **laps: int) -> Stepped:
    """A step of 10 + 20 + 3 + 4 + 5 ms; the first token accepted where there are two."""
    times = {"draft_ns": 10, "target_ns": 20, "verify_ns": 3, "commit_ns": 4, "host_ns": 5} | laps
    accepted = [Emitted(1, " a", "accepted", 0)] if num_emitted > 1 else []
    rest = [Emitted(9, " z", "correction")] * (num_emitted - len(accepted))
    given: dict[str, Any] = {name: ns * 1_000_000 for name, ns in times.items()}
    return Stepped(number, 1, nodes, (0,) if accepted else (), (*accepted, *rest), **given, kv_length=3)


def state(*steps: Stepped, **fields: Any) -> ViewState:
    first = (started(), Prefilled(3, 7_000_000, 2))
    return ViewState(**({"phase": "running", "events": (*first, *steps)} | fields))


def tile(of: ViewState, key: str) -> tiles.Tile:
    return next(found for found in tiles.tiles(of) if found.key == key)


def test_acceptance_is_accepted_of_all_that_was_drafted() -> None:
    """One step: 3 nodes, 1 accepted, 2 emitted."""
    found = tile(state(step(0, 2)), "acceptance")
    assert (found.value, found.unit, found.note) == ("33", "%", "1 of 3 drafted")
    more = state(step(0, 2), step(1, 1), step(2, 2, NODES[:1]))
    assert (tile(more, "acceptance").value, tile(more, "acceptance").note) == ("29", "2 of 7 drafted")
    assert tiles.drafted(more) == (2, 7)
    plain = tile(state(step(0, 1, ())), "acceptance")
    assert (plain.value, plain.note, plain.tone) == ("–", "nothing drafted", "empty")


def test_memory_is_what_target_drafter_and_cache_held() -> None:
    assert tile(state(step(0, 2)), "memory").note == "counted at the end"
    end = SessionFinished("eos", Counts(1, 3, 1, 2, 1), 42)
    assert (tile(state(step(0, 2), end), "memory").value, tile(state(end), "memory").note) == ("–", "not counted")
    found = tile(state(replace(end, memory=Memory(269_100_000, 11_240_000, 47_000))), "memory")
    assert (found.value, found.unit, found.note) == ("280", "MB", "target 269 · drafter 11.2 · KV 0.0")
    assert found.terms == ("memory-bytes",)


def test_block_efficiency_is_emitted_tokens_of_a_pass() -> None:
    assert tile(state(step(0, 2), step(1, 1), step(2, 2)), "efficiency").value == "1.67"
    assert (tile(state(), "efficiency").value, tile(state(), "efficiency").tone) == ("–", "empty")


def test_speed_is_emitted_tokens_by_the_time_inside_the_steps() -> None:
    found = tile(state(step(0, 2), step(1, 1)), "speed")
    assert (found.value, found.unit, found.note) == ("35.7", "tokens/s", "first token after 49 ms")
    ended = state(step(0, 2), step(1, 1))
    ended = replace(ended, events=(*ended.events, SessionFinished("eos", Counts(2, 6, 1, 3, 2), 60_000_000)))
    assert tile(ended, "speed").value == "50.0"
    assert (tile(state(), "speed").value, tile(state(), "speed").note) == ("–", "")


def ended(name: str, ns: int, reason: Any = "eos", **fields: Any) -> tuple[Event, ...]:
    return (*session(name, **fields)[:-1], finished(reason, decode_ns=ns))


def test_the_speedup_is_against_the_measured_plain_run() -> None:
    plain = ended("p", 77, method="plain")
    fast = ViewState(phase="finished", events=ended("f", 55), plain_events=plain)
    found = tile(fast, "speedup")
    assert (found.value, found.unit, found.tone) == ("1.40", "×", "key")
    assert found.note == "plain: 51,948,051.9 tokens/s, measured"
    going_on = tile(replace(fast, events=ended("f", 11)[:-1]), "speedup")
    assert (going_on.value, going_on.note) == ("–", "plain: 51,948,051.9 tokens/s, measured")
    cut = tile(replace(fast, events=ended("f", 11, "stopped")), "speedup")
    assert (cut.value, cut.note) == ("–", "not comparable: this run was cut short")
    for role, note in (("baseline", "being measured"), ("method", "this is plain decoding")):
        assert tile(ViewState(role=role, events=plain), "speedup").note == note  # type: ignore[arg-type]
    assert tile(ViewState(), "speedup").note == "no baseline measured"


def test_a_speedup_beyond_its_tokens_a_pass_is_no_drafting() -> None:
    found = tile(ViewState("finished", events=ended("f", 11), plain_events=ended("p", 77, method="plain")), "speedup")
    assert (found.value, found.tone) == ("7.00", "bad")
    against = "plain: 51,948,051.9 tokens/s, measured"
    assert found.note == f"more than its tokens a pass allow: other work slowed the plain run ({against})"


@pytest.mark.parametrize(
    ("verdict", "tone"),
    [("identical", "word good"), ("near-tie", "word fair"), ("DIFFERENT", "word bad"), ("not auditable", "word")],
)
def test_a_verdict_has_its_tone(verdict: str, tone: str) -> None:
    found = tile(state(step(0, 2), audit=Audited(verdict, "in words")), "audit")
    assert (found.value, found.note, found.tone) == (verdict, "in words", tone)


def test_a_verdict_that_is_not_there_yet_says_why() -> None:
    plain, cut = ended("p", 77, method="plain"), "not audited: this run was cut short"
    cases: list[tuple[ViewState, str, str]] = [
        (state(phase="auditing"), "…", "comparing"),
        (state(step(0, 2)), "–", "not audited: no plain run beside it"),
        (state(step(0, 2), plain_events=plain), "–", "checked at the end"),
        (ViewState("running", role="baseline", events=plain), "–", "checked at the end"),
        (ViewState(events=plain), "–", "this is plain decoding"),
        (ViewState(events=plain, plain_events=plain), "–", "this is plain decoding"),
        (ViewState("stopped", events=ended("f", 1, "stopped"), plain_events=plain), "–", cut),
        (ViewState("stopped", role="baseline", events=ended("p", 1, "stopped", method="plain")), "–", cut),
        (ViewState("finished", events=ended("f", 11), plain_events=plain), "–", "not audited"),
    ]
    assert [(tile(of, "audit").value, tile(of, "audit").note) for of, _, _ in cases] == [case[1:] for case in cases]


# status


def test_the_status_follows_what_happens() -> None:
    cases: list[tuple[list[Happening], str]] = [
        ([], "Ready. Pick an example or type a prompt, then press Run."),
        ([Waiting(1)], "Number 1 in the queue: one run is going on."),
        ([Waiting(2)], "Number 2 in the queue: 2 runs are ahead of yours."),
        ([Preparing("Loading toy")], "Loading toy …"),
        (
            [Opened("baseline"), started("plain"), step(0, 1, ())],
            "Measuring the baseline first: plain decoding, step 1",
        ),
        ([Opened("method"), started(), step(0, 2), step(1, 1)], "Decoding · step 2 · 1 of 6 drafts accepted"),
        ([Opened("method"), started("plain"), step(0, 1, ())], "Decoding · step 1"),
        ([Opened("method"), started(), Auditing()], "Comparing with plain decoding …"),
        ([Opened("method"), started(), step(0, 2), Ended()], "Interrupted: this is what was saved."),
        ([Opened("method"), Failed("No."), Ended()], "Nothing was run."),
    ]
    assert [tiles.status_text(fold_all(ViewState(), seen)) for seen, _ in cases] == [text for _, text in cases]


@pytest.mark.parametrize(
    ("reason", "says"),
    [("eos", "The model ended its text"), ("length", "The token limit was reached"), ("timeout", "The time limit was")],
)
def test_the_end_says_why_and_how_much(reason: Any, says: str) -> None:
    events = (started(), step(0, 2), SessionFinished(reason, Counts(1_200, 9, 4, 3_400, 1_200), 1))
    text = tiles.ended_text(ViewState(events=events))
    assert text.startswith(says)
    assert text.endswith(" · 3,400 tokens in 1,200 steps")
    beside = tiles.ended_text(ViewState(role="baseline", events=events))
    assert beside.startswith(f"Ended while the baseline was measured: {says[0].lower()}")


def test_only_twenty_steps_in_a_row_without_an_accepted_draft_are_pointed_out() -> None:
    def text(*sizes: int, nodes: tuple[Node, ...] = NODES) -> str:
        return tiles.running_text(state(*(step(place, size, nodes) for place, size in enumerate(sizes))))

    warning = "no draft accepted for 20 steps"
    assert warning not in text(*[1] * 19)
    assert warning in text(*[1] * 20)
    assert warning in text(2, *[1] * 20)
    assert warning not in text(*[1] * 10, 2, *[1] * 19)
    assert warning not in text(*[1] * 30, nodes=())


def test_the_head_says_with_what_it_runs() -> None:
    assert tiles.meta_text(state()) == "scripted · toy · float32 on cpu · exact · prompt 3 tokens"
    assert tiles.meta_text(ViewState(events=(begun(),))) == "draft_model · story-target · bfloat16 on cpu · exact"
    assert tiles.meta_text(ViewState()) == ""


def test_captions_say_what_the_bars_show() -> None:
    found = tiles.captions(state(step(0, 2), step(1, 1), step(2, 2)))
    assert found["emitted"] == (
        "1.67 on average, from 1 to 2, over 3 steps. Mean acceptance length 1.67, first position 67 %."
    )
    assert found["time"] == (
        "In all: draft 30 ms (24 %), target 72 ms (57 %), host 24 ms (19 %). "
        "A step p50 42.0, p90 42.0, p99 42.0 ms; a token p50 21.0, p90 33.6, p99 41.2 ms."
    )
    plain = tiles.captions(state(step(0, 1, ())))
    assert plain["emitted"] == "1.00 on average, from 1 to 1, over 1 steps.", "nothing was drafted"
    assert tiles.captions(state()) == {"emitted": "", "time": ""}


def test_acceptance_that_looks_wrong_is_said_with_the_figures_and_at_the_end() -> None:
    steps = [step(place, 1) for place in range(20)]
    of = state(*steps, finished(), phase="finished")
    (sentence,) = notices(acceptance(of.events))
    assert tiles.captions(of)["emitted"].endswith(f"first position 0 %. {sentence}")
    assert tiles.spoken_text(of).endswith(sentence)
    assert (tile(of, "acceptance").tone, tile(state(*steps[1:]), "acceptance").tone) == ("bad", "")


def test_the_end_is_said_in_one_sentence() -> None:
    of = ViewState(phase="finished", events=(started(), step(0, 2), finished()))
    said = tiles.spoken_text(of)
    assert said.startswith("The model ended its text · 4 tokens in 2 steps. Speed: 25,974,026.0 tokens/s. Block")
    assert said.endswith("Acceptance rate: 33 %.")
    assert "Speedup" not in said
    assert tiles.spoken_text(state(step(0, 2))) == tiles.status_text(state(step(0, 2)))


# folding


def test_what_is_not_saved_or_differs_is_an_alert_of_that_run_alone() -> None:
    happenings: list[Happening] = [Opened("method"), *session("a"), Unsaved("The disk is full.")]
    of = fold_all(ViewState(), happenings)
    assert of.alert == "This run is not saved. The disk is full."
    assert fold_all(of, [Audited("identical", "identical (4 tokens)")]).alert == of.alert
    assert fold_all(of, [Audited("DIFFERENT", "DIFFERENT at token 1")]).alert == (
        "This method did not write what plain decoding writes: DIFFERENT at token 1."
    )
    assert fold_all(of, [Opened("method")]).alert == ""
    failed = fold_all(ViewState(), [Opened("method"), *session("a")[:-1], finished("failed", "It broke."), Ended()])
    assert (failed.phase, failed.alert) == ("failed", "The run failed. It broke.")


@pytest.mark.parametrize(
    ("reason", "phase"),
    [
        *((reason, "finished") for reason in ("eos", "length", "stop_string", "context")),
        *(("timeout", "stopped"), ("stopped", "stopped"), ("failed", "failed")),
    ],
)
def test_each_end_has_its_phase(reason: Any, phase: str) -> None:
    of = fold_all(ViewState(), [Opened("method"), *session("a")[:-1], finished(reason), Ended()])
    assert of.phase == phase


def test_a_second_run_forgets_the_first_ones_baseline_and_verdict() -> None:
    first = [
        Opened("baseline"),
        *session("p", method="plain"),
        Opened("method"),
        *session("a"),
        Audited("identical", ""),
    ]
    of = fold_all(ViewState(), [*first, Ended(), Opened("method"), begun("b"), two_nodes()])
    assert (of.plain_events, of.audit, of.phase) == ((), None, "running")
    assert [event.session_id for event in of.events[:1]] == ["b"]  # type: ignore[union-attr]
    assert fold_all(ViewState(), first[:7]).role == "method"
    assert fold_all(ViewState(), [Waiting(2), Opened("method")]).position == 0
