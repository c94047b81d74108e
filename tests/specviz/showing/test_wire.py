"""What is sent to a page of a step and a run: every number under its own name."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from asking import TEXTS, run, whole
from scripted import started, stepped
from scripted_kinds import HOSTILE
from stored import EMITTED, STEP

from engine.events import Candidate, Emitted, Node, Stepped
from specviz.showing.fold import ViewState, fold, fold_all
from specviz.showing.notices import Ended, Failed, Opened, Waiting
from specviz.showing.steps import STATUSES
from specviz.showing.wire import MAX_GHOSTS, StepLog, Stream, step_view, tree_view


def steps_of(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a page holds after these messages."""
    held: list[dict[str, Any]] = []
    for message in messages:
        held = message["steps"] if message["reset"] else held + message["steps"]
    return held


def test_a_step_is_told_with_every_number_in_its_place() -> None:
    view = step_view(STEP, 12.3456)
    assert (view["n"], view["at"], view["ms"], view["len"], view["more"]) == (4, 12.346, [1.0, 24.0, 0.35], 2, 0)
    assert (view["verify"], view["drafted"]) == (round(STEP.verify_ns / 1e6, 3), len(STEP.nodes))
    shown = [(k["id"], k["t"], k["o"], k["p"], k["q"], k["d"]) for k in view["k"]]
    assert shown == [
        (10, " a", "accepted", 0.9, 0.8, 1),
        (20, " d", "accepted", 0.6, 0.55, 2),
        (30, "", "correction", 0.25, 0.45, 3),
    ], "the target drew a token that had been drafted at this very place and was not accepted"
    assert view["k"][2]["raw"] == " z"
    assert view["k"][2]["a"] == [[" c", 21, 0.7], [" z", 30, 0.25]]
    assert "raw" not in view["k"][0]


def test_bytes_that_became_no_character_are_told_as_bytes() -> None:
    known = (Candidate(7, "<0xF0>", 0.5), Candidate(8, "<0x9F>", 0.2))
    given = [("\ufffd", 7, known), ("", 8, known), ("\ufffd", 9, known), ("a", 7, known)]
    tokens = tuple(Emitted(token, text, "plain", None, 0.5, told) for text, token, told in given)
    view = step_view(replace(STEP, path=(), nodes=(), emitted=tokens), 0.0)
    assert [(k["t"], k.get("raw")) for k in view["k"]] == [
        ("\ufffd", "<0xF0>"),
        ("", "<0x9F>"),
        ("\ufffd", None),
        ("a", None),
    ]


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


def test_a_run_of_its_own_is_sent_with_its_trees() -> None:
    tree = tree_view(STEP)
    nodes = STEP.nodes
    assert (tree["path"], tree["up"]) == (STEP.path, [node.parent for node in nodes])
    assert (tree["t"], tree["q"]) == ([node.text for node in nodes], [node.draft_prob for node in nodes])
    assert [STATUSES[place] for place in tree["s"]] == [node.status for node in nodes]
    state = fold_all(ViewState(), [started(), STEP, replace(STEP, nodes=(), path=(), emitted=EMITTED[2:])])
    first, bare = json.loads(Stream().delta(state))["steps"]
    assert first["tree"] == json.loads(json.dumps(tree))
    assert "tree" not in bare
    assert "tree" not in StepLog().take(state)[0], "lanes of a race draw none"


def test_each_step_is_sent_once() -> None:
    stream, state = Stream(), fold_all(ViewState(), [Opened("method"), *run()[:4]])
    assert len(json.loads(stream.delta(state))["steps"]) == 2
    assert json.loads(stream.delta(state))["steps"] == []
    more = json.loads(stream.delta(fold(state, stepped(2, TEXTS))))
    assert [step["n"] for step in more["steps"]] == [2]
    assert more["reset"] is False


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


class Counted(tuple):  # type: ignore[type-arg]
    """A tuple that counts how often it is gone through, or asked for what it holds."""

    times = 0

    def __iter__(self) -> Iterator[Any]:
        Counted.times += 1
        return super().__iter__()

    def __contains__(self, item: object) -> bool:
        raise AssertionError("a search through all of it, for one of it")


@pytest.mark.parametrize("num_tokens", [3, 300])
def test_a_step_is_gone_through_as_often_whatever_its_size(num_tokens: int) -> None:
    """A chain of which all is accepted, with a sibling for each node; tokens that name no node, as a file may say."""
    nodes = [Node(place, "x", place // 2 * 2 - 2 if place > 1 else -1, "accepted") for place in range(2 * num_tokens)]
    tokens = [Emitted(place, "x", "correction") for place in range(num_tokens)]
    path = Counted(range(0, 2 * num_tokens, 2))
    Counted.times = 0
    view = step_view(replace(STEP, nodes=Counted(nodes), path=path, emitted=tuple(tokens)), 0.0)
    assert (len(view["k"]), view["more"] + len(view["g"])) == (num_tokens, num_tokens)
    assert Counted.times < 8
