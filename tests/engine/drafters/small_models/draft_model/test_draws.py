"""What drafts of the draft model say they were drawn from."""

from __future__ import annotations

import pytest
import torch
from toys import VOCAB_SIZE, assert_fits, session_of, stock_logits

from engine import models
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.noise import Noise
from engine.sampling import warp
from engine.target import Target
from engine.tree import DraftTree
from engine.verify.rejection import Rejection
from tests.engine.drafters.small_models.draft_model.sessions import PROMPT, make, stock_of, watched


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
    context = session_of(drafter, list(PROMPT), temperature=1.0, rule="rejection")
    assert len(set(drafter.propose(context, Room(9)).tokens)) > 2


def test_greedy_drafts_do_not_claim_to_be_drawn(llama: Target, near: models.LoadedModel) -> None:
    drafter = make(llama)
    context = session_of(drafter, list(PROMPT))
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
