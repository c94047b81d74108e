"""The draft model: its cache, its trees, and what it says it drew from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from toys import (
    MAX_CONTEXT,
    VOCAB_SIZE,
    assert_fits,
    build,
    draft_for,
    greedy_text,
    loaded,
    output_ids,
    prompt_ids,
    stock_logits,
    tiny,
)
from transformers import LlamaConfig

from engine import drafters, models
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.small_models.draft_model import DraftModel
from engine.events import SessionFinished, Stepped
from engine.loop import generate
from engine.noise import Noise
from engine.runtime.runner import ModelRunner
from engine.sampling import warp
from engine.target import Target
from engine.tree import DraftTree
from engine.verify.rejection import Rejection

PROMPT = prompt_ids(9)


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> models.LoadedModel:
    """A draft model that agrees with the target now and then: the target's weights, disturbed."""
    found = tiny("llama", seed=0)
    config = LlamaConfig(**build_config(found))
    model = build(config, seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            generator = torch.Generator().manual_seed(len(name))
            parameter.add_(0.08 * parameter.std() * torch.randn(parameter.shape, generator=generator))
    near = loaded(model, VOCAB_SIZE, MAX_CONTEXT, name="near")
    monkeypatch.setattr(models, "load_draft", lambda name, target: near)
    return near


def build_config(found: models.LoadedModel) -> dict[str, Any]:
    return {key: value for key, value in found.model.config.to_dict().items() if key != "dtype"}


@pytest.fixture
def twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A draft model with the target's own weights, in an object of its own."""
    other = loaded(build(LlamaConfig(**build_config(tiny("llama")))), VOCAB_SIZE, MAX_CONTEXT, name="twin")
    monkeypatch.setattr(models, "load_draft", lambda name, target: other)


def make(target: Target, **options: object) -> DraftModel:
    drafter = drafters.create("draft_model", options, target)
    assert isinstance(drafter, DraftModel)
    return drafter


def watched(target: Target, drafter: DraftModel, config: GenerationConfig) -> Iterator[Stepped]:
    for event in generate(target, drafter, PROMPT, config):
        if isinstance(event, SessionFinished):
            assert event.reason == "length", event.message
        if isinstance(event, Stepped):
            yield event


def tree_of(step: Stepped) -> DraftTree:
    return DraftTree(tuple(n.token_id for n in step.nodes), tuple(n.parent for n in step.nodes))


SHAPES: dict[str, dict[str, object]] = {
    "chain": {"depth": 5},
    "adaptive chain": {"depth": 6, "min_confidence": 0.15},
    "tree": {"depth": 4, "width": 3, "nodes": 12},
}
RULES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "node_sampling": {"temperature": 0.8},
    "rejection": {"temperature": 0.8, "rule": "rejection"},
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_drafts_cache_is_that_of_a_fresh_prefill_after_every_step(
    shape: str, rule: str, llama: Target, near: models.LoadedModel
) -> None:
    drafter = make(llama, **SHAPES[shape])
    fresh = ModelRunner(near.model, near.max_context, is_row_invariant=False)
    ids, num_accepted = list(PROMPT), 0
    for step in watched(llama, drafter, GenerationConfig(max_new_tokens=40, **RULES[rule])):
        ids += [token.token_id for token in step.emitted]
        num_accepted += len(step.path)
        num_cached = drafter.runner.num_committed
        # All but the root, and but the last accepted node where the draft model never saw it.
        assert len(ids) - 2 <= num_cached <= len(ids) - 1 or len(ids) == len(PROMPT) + 40
        assert drafter.runner.num_pending == 0
        fresh.prefill(ids[:num_cached])
        for layer in range(2):
            for kept, wanted in zip(drafter.runner.kv(layer), fresh.kv(layer), strict=True):
                torch.testing.assert_close(kept, wanted, atol=1e-4, rtol=1e-4)
    assert num_accepted > 5, "nothing was accepted: the test shows nothing"


@pytest.mark.parametrize("shape", SHAPES)
def test_no_token_is_fed_twice(
    shape: str, llama: Target, near: models.LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafter = make(llama, **SHAPES[shape])
    fed: list[tuple[int, int]] = []
    extend = drafter.runner.extend

    def counted(ids: Sequence[int], parents: Sequence[int], **more: Any) -> Any:
        fed.append((drafter.runner.num_committed + drafter.runner.num_pending, len(ids)))
        return extend(ids, parents, **more)

    monkeypatch.setattr(drafter.runner, "extend", counted)
    num_before = len(PROMPT)
    for number, step in enumerate(watched(llama, drafter, GenerationConfig(max_new_tokens=40))):
        if number == 0:
            assert fed.pop(0) == (0, len(PROMPT) - 1)
        if step.nodes:
            # First what the target emitted and the draft model never saw: one token, or two after a full draft.
            first, num_rows = fed.pop(0)
            assert first + num_rows == num_before
            assert num_rows <= 2
            # Then the draft, level by level; its last level needs no pass.
            assert len(fed) <= int(str(SHAPES[shape]["depth"])) - 1
            assert all(later[0] == earlier[0] + earlier[1] for earlier, later in itertools.pairwise(fed))
        num_before += len(step.emitted)
        fed.clear()


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


def stock_of(found: models.LoadedModel) -> Any:
    """An untouched model with the weights that the disturbed one was built with."""
    model = build(LlamaConfig(**build_config(found)), seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            generator = torch.Generator().manual_seed(len(name))
            parameter.add_(0.08 * parameter.std() * torch.randn(parameter.shape, generator=generator))
    return model


def test_a_sampled_chain_carries_the_distributions_it_was_drawn_from(
    llama: Target, near: models.LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = GenerationConfig(max_new_tokens=16, temperature=0.7, top_k=9, repetition_penalty=1.3, rule="rejection")
    drafter, reference = make(llama, depth=3), stock_of(near)
    seen: list[tuple[list[int], DraftTree]] = []
    propose = drafter.propose

    def noted(context: Context, budget: int) -> DraftTree:
        tree = propose(context, budget)
        seen.append((list(context.ids), tree))
        return tree

    monkeypatch.setattr(drafter, "propose", noted)
    list(watched(llama, drafter, config))
    for ids, tree in seen:
        assert tree.is_sampled == bool(tree)
        for node, token in enumerate(tree.tokens):
            before = [*ids, *tree.tokens[:node]]
            wanted = warp(stock_logits(reference, before)[-1:], config, [before])[0]
            assert tree.draws is not None
            assert tree.draft_probs is not None
            torch.testing.assert_close(tree.draws.rows[node], wanted, atol=1e-3, rtol=1e-3)
            assert tree.draws.rows[node].sum().item() == pytest.approx(1, abs=1e-6)
            assert tree.draft_probs[node] == tree.draws.rows[node, token].item() > 0


def test_each_token_of_a_sampled_chain_is_a_draw_of_its_own(
    llama: Target, near: models.LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafter = make(llama, depth=6, min_confidence=0.0)
    monkeypatch.setattr(drafter, "_scores", lambda rows: torch.zeros(1, VOCAB_SIZE))  # every token is as likely
    context = Context(list(PROMPT), GenerationConfig(temperature=1.0, rule="rejection"), Noise(0))
    drafter.start(context)
    assert len(set(drafter.propose(context, Room(9)).tokens)) > 2


def test_greedy_drafts_do_not_claim_to_be_drawn(llama: Target, near: models.LoadedModel) -> None:
    drafter = make(llama)
    context = Context(list(PROMPT), GenerationConfig(), Noise(0))
    drafter.start(context)
    assert not drafter.propose(context, Room(9)).is_sampled


def test_a_drawn_tree_draws_children_without_replacement_and_drops_none(
    llama: Target, near: models.LoadedModel
) -> None:
    config = GenerationConfig(temperature=1.3, top_k=30, repetition_penalty=1.2, rule=Rejection.name)
    reference = stock_of(near)
    for depth, nodes, budget, wanted in ((3, 64, 64, [3, 9, 9]), (3, 14, 64, [3, 9, 2]), (3, 64, 5, [3, 2])):
        drafter, context = make(llama, depth=depth, width=3, nodes=nodes), Context(list(PROMPT), config, Noise(1))
        drafter.start(context)
        tree = drafter.propose(context, Room(budget))
        assert [tree.depths.count(d + 1) for d in range(tree.depth)] == wanted
        assert tree.draws is not None
        assert tree.draws.scheme == "without_replacement"
        for node, parent in enumerate(tree.parents):
            before = [*PROMPT, *(tree.tokens[i] for i in tree.path_to(parent))]
            law = warp(stock_logits(reference, before)[-1:], config, [before])[0]
            torch.testing.assert_close(tree.draws.rows[tree.draws.row_of[node]], law, atol=1e-3, rtol=1e-3)
        assert all(len({tree.tokens[i] for i in siblings}) == len(siblings) for siblings in tree.children)


def test_which_nodes_get_children_goes_by_their_paths_and_the_first_draw_is_by_law(
    llama: Target, near: models.LoadedModel
) -> None:
    config = GenerationConfig(temperature=1.0, top_k=3, rule=Rejection.name)
    drafter, firsts = make(llama, depth=2, width=2, nodes=64), torch.zeros(VOCAB_SIZE, VOCAB_SIZE)
    for seed in range(400):
        drafter.start(context := Context(list(PROMPT), config, Noise(seed)))
        tree = drafter.propose(context, Room(64))
        assert tree.draws is not None
        firsts[tree.tokens[0], tree.tokens[1]] += 1
        assert tree.draft_probs is not None
        better = 0 if tree.draft_probs[0] >= tree.draft_probs[1] else 1
        assert tree.parents[2:] == (better, better, 1 - better, 1 - better)
    q = tree.draws.rows[tree.draws.row_of[0]].double()
    pairs = q[:, None] * q / (1 - q[:, None])
    assert_fits(firsts, pairs.fill_diagonal_(0))


def test_a_draft_model_with_a_shorter_context_drops_out_and_the_text_goes_on(
    llama: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "load_draft", lambda name, target: draft_for(VOCAB_SIZE, 32))
    config = GenerationConfig(max_new_tokens=60)
    found = list(generate(llama, make(llama, depth=4, min_confidence=0.0), PROMPT, config))
    assert output_ids(found) == greedy_text(llama, PROMPT, 60)[len(PROMPT) :]
    sizes = [len(event.nodes) for event in found if isinstance(event, Stepped)]
    assert sizes[0] == 4
    assert sizes[-2:] == [0, 0]


def test_without_a_known_draft_model_the_method_says_what_to_do(llama: Target) -> None:
    assert "option model" in str(DraftModel.unavailable(llama))
    assert DraftModel.unavailable(None) is None
