"""A whole run as the Inspector reads it."""

from __future__ import annotations

import json
from dataclasses import replace

from scripted import started, stepped
from scripted_kinds import HOSTILE
from stored import STEP, node, session, tree_step
from stored import stepped as two_nodes

from engine import verify
from engine.events import (
    Candidate,
    Counts,
    DraftedFrom,
    Emitted,
    Event,
    Judged,
    Prefilled,
    SessionFinished,
    Stepped,
    Weighed,
)
from specviz.showing.trace import judged_by, rule_of, trace
from specviz.text import to_wire


def test_a_trace_holds_whole_trees_in_columns() -> None:
    told = trace([started(), tree_step(), SessionFinished("eos", Counts(1, 6, 2, 3, 1), 9)])
    (step,) = told["steps"]
    assert told["run"]["rule"] == "greedy"
    assert told["run"]["reason"] == "eos"
    assert step["up"] == [-1, -1, 0, 0, 3, 1]
    assert step["s"] == [0, 1, 1, 0, 1, 2]
    assert step["q"][2] == 0.7
    assert step["ms"] == [1.0, 2.0, 0.04, 0.3, 0.5]
    assert [told["pieces"][token["t"]] for token in step["k"]] == ["a", "b", "c"]
    assert step["ranks"] == [1, 2]
    assert step["cuts"]["budget"][0] == [1, 1, 1, None]


def test_a_token_that_adds_no_text_has_its_own_name() -> None:
    end = Emitted(2, "", "correction", None, 0.9, (Candidate(5, "b", 0.1), Candidate(2, "<|end|>", 0.9)))
    unknown = Emitted(3, "", "accepted", 0)
    told = trace([started(), replace(tree_step(), emitted=(Emitted(1, "a", "accepted", 0), end, unknown))])
    (step,) = told["steps"]
    assert [told["pieces"][token["t"]] for token in step["k"]] == ["a", "", ""]
    assert [told["pieces"][token["raw"]] for token in step["k"]] == ["a", "<|end|>", ""]


def test_the_rule_is_the_recorded_one_or_goes_by_the_temperature() -> None:
    assert rule_of({"rule": "rejection", "temperature": 1.0}) == "rejection"
    assert rule_of({"rule": "auto", "temperature": 0.7}) == "node_sampling"
    assert rule_of({"temperature": 0.0}) == "greedy"


def test_what_decides_over_a_node_is_the_rules_own_word_and_of_no_unknown_one() -> None:
    known = {name: word for name in (*verify.names(), "coin", "") if (word := judged_by(name))}
    assert known == {
        "greedy": "likeliest",
        **dict.fromkeys(("node_sampling", "likeliest_drafts"), "draw"),
        **dict.fromkeys(("rejection", "with_replacement"), "ratio"),
    }


def test_a_run_says_by_what_its_nodes_were_judged_and_only_draws_have_chances() -> None:
    for rule, word in (("greedy", "likeliest"), ("node_sampling", "draw"), ("typical", "")):
        told = trace([replace(started(), config={"rule": rule}), tree_step()])
        assert (told["run"]["rule"], told["run"]["judgedBy"]) == (rule, word)
        assert (told["steps"][0]["cuts"]["budget"][0][3] is not None) == (word == "draw")


def test_a_step_tells_which_draws_were_weighed_and_how_or_nothing() -> None:
    """A file of schema 1 tells nothing, and so does a rule that weighs none."""
    weighed = replace(tree_step(), judged=(Judged(0, 0.5, 1 / 3, 0.25, 0.5), Judged(0)))
    told = trace([started(), weighed, tree_step()])["steps"]
    assert told[0]["j"] == [[0, 0.333333, 0.25, 0.5, 0.5], [0, None, None, None, None]]
    assert "j" not in told[1]


def test_a_step_tells_what_its_drafts_were_drawn_from_or_nothing() -> None:
    law = DraftedFrom(-1, (Weighed(5, "<b>", 1 / 3, 0.25), Weighed(6, "y", None, 0.0)))
    told = trace([started(), replace(tree_step(), drafted_from=(law,)), tree_step()])
    ((parent, tokens),) = told["steps"][0]["d"]
    assert (parent, [(told["pieces"][text], *rest) for text, *rest in tokens]) == (
        -1,
        [("<b>", 5, 0.333333, 0.25), ("y", 6, None, 0.0)],
    )
    assert "d" not in told["steps"][1]


def test_a_chain_that_was_judged_together_tells_how_likely_each_part_was_to_hold() -> None:
    weighed = replace(tree_step(), judged=(Judged(0, 0.5, draw=0.25, chance=0.75),))
    assert trace([started(), weighed])["steps"][0]["j"] == [[0, None, 0.25, 0.5, None, 0.75]]


def test_a_trace_of_hostile_texts_is_ascii_json() -> None:
    text = to_wire(trace([started(prompt=HOSTILE[0]), stepped(0, HOSTILE)]))
    assert text.isascii()
    assert "<" not in text
    assert any("\\ud800" in piece for piece in json.loads(text)["pieces"]), "a visible escape"


def test_500_steps_of_60_nodes_are_told_in_few_bytes() -> None:
    """A page reads the whole trace at once; how long that takes stands in docs/log.md."""
    nodes = tuple(node(i // 3 - 1, "unreached") for i in range(60))
    steps = [Stepped(i, 9, nodes, (), (Emitted(1, "a", "plain"),), 1, 1, 1, 1, 1, 1) for i in range(500)]
    text = to_wire(trace([started(), *steps]))
    assert len(text) < 4_000_000


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


def test_acceptance_that_looks_wrong_is_told_with_the_run() -> None:
    refused = replace(two_nodes(), emitted=two_nodes().emitted[1:], path=())
    assert trace(session(num_steps=20))["run"]["notices"] == []
    (sentence,) = trace([started(), *[refused] * 20])["run"]["notices"]
    assert sentence.startswith(
        "Hardly a draft is accepted (mean acceptance length 1.00, first position 0.0 %, 20 steps"
    )
