from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted import HOSTILE, started, stepped

from engine import verify
from engine.events import Candidate, Counts, Emitted, Node, SessionFinished, Stepped
from specviz.explaining import prose, recording
from specviz.pages.inspector import Inspector
from specviz.pages.learn import Learn
from specviz.showing import whatif
from specviz.showing.trace import draws_at_nodes, rule_of, trace
from specviz.store import open_store
from specviz.text import to_wire


def node(parent: int, status: str, target: float | None = 0.5, draft: float | None = 0.5, token: int = 1) -> Node:
    return Node(token, "w", parent, status, target, draft)  # type: ignore[arg-type]


def tree_step() -> Stepped:
    """Root: 0 (accepted), 1. Below 0: 2 (rejected), 3 (accepted, less likely). Below 3: 4 (rejected). Below 1: 5."""
    nodes = (
        node(-1, "accepted", 0.8, 0.6),
        node(-1, "rejected", 0.1, 0.3),
        node(0, "rejected", 0.2, 0.7),
        node(0, "accepted", 0.5, 0.2),
        node(3, "rejected", 0.25, 0.9),
        node(1, "unreached", 0.5, 0.4),
    )
    emitted = (Emitted(1, "a", "accepted", 0), Emitted(1, "b", "accepted", 3), Emitted(1, "c", "correction"))
    return Stepped(0, 9, nodes, (0, 3), emitted, 1_000_000, 2_000_000, 300_000, 40_000, 500_000, 12)


def numbers(family: tuple[whatif.Cut, ...]) -> list[tuple[int, int, int]]:
    return [(cut.limit, cut.num_nodes, cut.accepted) for cut in family]


def test_smaller_drafts_keep_what_lies_inside_the_cut() -> None:
    cuts = whatif.cuts(tree_step(), is_drawn=False)
    assert [(cut.limit, cut.num_nodes, cut.accepted) for cut in cuts.budget] == [
        (1, 1, 1),
        (2, 2, 1),
        (4, 4, 2),
        (6, 6, 2),
    ]
    assert [(cut.limit, cut.num_nodes, cut.accepted) for cut in cuts.depth] == [(1, 2, 1), (2, 5, 2), (3, 6, 2)]
    assert [(cut.limit, cut.num_nodes, cut.accepted) for cut in cuts.top_k] == [(1, 2, 1), (2, 6, 2)]
    assert all(cut.expected is None for cut in cuts.budget), "greedy does not draw"


def test_the_expected_length_is_the_sum_of_path_probabilities() -> None:
    cuts = whatif.cuts(tree_step(), is_drawn=True)
    reach = [0.8, 0.1, 0.8 * 0.2, 0.8 * 0.5, 0.8 * 0.5 * 0.25, 0.1 * 0.5]
    assert cuts.budget[-1].expected == pytest.approx(sum(reach))
    assert cuts.budget[1].expected == pytest.approx(0.9)
    assert cuts.depth[0].expected == pytest.approx(0.9)
    assert cuts.top_k[0].expected == pytest.approx(0.8 + 0.16)


def test_no_draft_and_no_detail_have_no_answers() -> None:
    empty = Stepped(0, 9, (), (), (Emitted(1, "a", "plain"),), 1, 1, 1, 1, 1, 1)
    assert whatif.cuts(empty, is_drawn=False) == whatif.Cuts((), (), ())
    assert whatif.reach([node(-1, "accepted", None)]) is None


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


def test_only_an_exact_reproducible_rule_that_draws_keeps_the_node_that_it_drew() -> None:
    names = (*verify.names(), "coin", "")
    assert [name for name in names if draws_at_nodes(name)] == ["node_sampling"]


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


def test_the_recording_shows_what_the_tour_tells() -> None:
    """A full acceptance, then a correction behind an accepted token, then a bonus again."""
    ends = [event.emitted[-1].origin for event in recording.events() if isinstance(event, Stepped)]
    paths = [len(event.path) for event in recording.events() if isinstance(event, Stepped)]
    corrected = next(i for i, end in enumerate(ends) if end == "correction" and paths[i] > 0)
    assert "bonus" in ends[:corrected]
    assert "bonus" in ends[corrected:]
    assert trace(recording.events())["run"]["model"] == "story"


def test_the_inspector_arrives_anywhere(tmp_path: Path) -> None:
    with open_store(tmp_path / "runs.db") as store:
        inspector = Inspector(store)
        assert json.loads(inspector.arrive({})[0])["run"] == recording.ID
        run = store.begin(started(session_id="r1", prompt=HOSTILE[0]))
        run.append(stepped(0, ["Once", " upon"]))
        assert store.flush()
        assert json.loads(inspector.arrive({})[0])["run"] == "r1"
        message = json.loads(inspector.arrive({"run": "x" * 999, "step": "-1e9"})[0])
        assert message["step"] is None
        assert len(message["run"]) <= 80
        assert json.loads(inspector.arrive({"step": "7"})[0])["step"] == 7
        assert len(json.loads(inspector.read("r1"))["steps"]) == 1
        assert json.loads(inspector.read(recording.ID))["steps"]
        for wrong in ("nobody", "", None, 3, "x" * 200, "\ud800"):
            assert json.loads(inspector.read(wrong))["alert"].endswith(".")


def test_learn_has_a_page_for_every_method_and_a_sentence_for_none() -> None:
    from specviz.decoding.local import LocalDevice

    learn = Learn(LocalDevice())
    for method in learn.device.methods():
        page = json.loads(learn.method_page(method.name))
        assert page["trees"], method.name
    assert json.loads(learn.method_page("<b>"))["alert"].startswith("There is no method")
    assert json.loads(learn.arrive({"step": "9", "ids": "nope"})[0])["stop"] == 0
    assert json.loads(learn.arrive({"step": "3", "ids": "aded"})[0])["method"] == "aded"
    stops = [json.loads(learn.arrive({"step": str(step)})[0])["stop"] for step in range(7)]
    assert stops == [0, 1, 2, 3, 4, 5, 0]


def tags_of(tree: Any) -> set[str]:
    if isinstance(tree, str):
        return set()
    return {tree[0]}.union(*(tags_of(child) for child in tree[1]))


def test_documents_become_trees_of_known_tags_without_markup() -> None:
    (tree, *_) = prose._trees('A *b* [`c`](https://example.com "t") <img src=x onerror=1> ![d](e.png)')
    assert tree == ["p", ["A ", ["em", ["b"]], " ", ["code", ["c"]], " <img src=x onerror=1> ", "d"]]
    for page in (prose.method_page("draft_model"), prose._trees("| a | b |\n| - | - |\n| 1 | 2 |\n\n- x\n- y")):
        assert set().union(*(tags_of(tree) for tree in page)) <= set(prose.TAGS.values())


def test_the_glossary_is_read_whole() -> None:
    words = dict(prose.words())
    assert len(words) > 30
    assert words["bonus token"].startswith("The next token where the path reached a leaf")
