"""The draft model's chains and trees: their sizes, their nodes, and that they are right where it is."""

from __future__ import annotations

import pytest
from toys import stock_logits

from engine import models
from engine.config import GenerationConfig
from engine.target import Target
from tests.engine.drafters.small_models.draft_model.sessions import PROMPT, RULES, make, stock_of, tree_of, watched


def test_a_draft_model_equal_to_the_target_is_accepted_whole(llama: Target, twin: None) -> None:
    for settings in RULES.values():
        steps = list(
            watched(llama, make(llama, depth=4, min_confidence=0.0), GenerationConfig(max_new_tokens=40, **settings))
        )
        assert [len(step.path) for step in steps] == [4] * 8
        assert {step.emitted[-1].origin for step in steps} == {"bonus"}


@pytest.mark.parametrize("penalty", [1.0, 1.4])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_wide_draft_of_the_target_itself_never_lacks_the_right_child(
    temperature: float, penalty: float, llama: Target, twin: None
) -> None:
    """Each level is chosen with the noise of its place and the penalty on its path: paths end at leaves only."""
    config = GenerationConfig(max_new_tokens=30, temperature=temperature, repetition_penalty=penalty, seed=4)
    steps = list(watched(llama, make(llama, depth=3, width=3, nodes=64), config))
    assert {step.emitted[-1].origin for step in steps[:-1]} == {"bonus"}
    assert max(len(step.path) for step in steps) == 3


def test_an_adaptive_chain_stops_behind_its_first_weak_token(llama: Target, near: models.LoadedModel) -> None:
    drafter = make(llama, depth=8, min_confidence=0.15)
    lengths = set()
    for step in watched(llama, drafter, GenerationConfig(max_new_tokens=40)):
        probs = [node.draft_prob for node in step.nodes if node.draft_prob is not None]
        assert len(probs) == len(step.nodes)
        assert all(prob >= 0.15 for prob in probs[:-1])
        if step.kv_length < len(PROMPT) + 30:
            assert len(probs) == 8 or probs[-1] < 0.15
        lengths.add(len(probs))
    assert len(lengths) > 2


def test_a_wide_draft_is_a_tree_within_its_budget(llama: Target, near: models.LoadedModel) -> None:
    widths = set()
    for step in watched(llama, make(llama, depth=4, width=3, nodes=10), GenerationConfig(max_new_tokens=40)):
        tree = tree_of(step)
        assert len(tree) <= 10
        assert tree.depth <= 4
        for siblings in tree.children:
            assert len({tree.tokens[node] for node in siblings}) == len(siblings)
            widths.add(len(siblings))
    assert max(widths) > 1


def test_a_trees_best_nodes_are_those_of_highest_path_probability(llama: Target, near: models.LoadedModel) -> None:
    step = next(watched(llama, make(llama, depth=2, width=16, nodes=12), GenerationConfig(max_new_tokens=40)))
    reference = stock_of(near)
    first = stock_logits(reference, PROMPT)[-1].softmax(dim=0)
    values = {(token,): first[token].item() for token in first.topk(16).indices.tolist()}
    for token in first.topk(12).indices.tolist():
        second = stock_logits(reference, [*PROMPT, token])[-1].softmax(dim=0)
        best = second.topk(16).indices.tolist()
        values.update({(token, after): first[token].item() * second[after].item() for after in best})
    wanted = sorted(values, key=lambda path: -values[path])[:12]
    tree = tree_of(step)
    assert {tuple(tree.tokens[i] for i in tree.path_to(node)) for node in range(len(tree))} == set(wanted)
