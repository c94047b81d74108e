"""What an event tells of the distributions that drafts were drawn from: the likeliest tokens, along the path alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys import ScriptedDrafter, Table, TableTarget

from engine.config import GenerationConfig
from engine.drafters.base import Context
from engine.events import DraftedFrom, Stepped, from_json, to_json
from engine.loop import generate
from engine.tree import DraftTree, chain

TARGET, DRAFT = Table(12, 1), Table(12, 2)


def drawn(context: Context, budget: Any) -> DraftTree:
    """A chain of two, said to be drawn from the draft table's rows."""
    ids, tokens = list(context.ids), [3, 5]
    laws = torch.stack([DRAFT.probs([*ids, *tokens[:i]]) for i in range(2)])
    return chain(tokens, [law[token].item() for law, token in zip(laws, tokens, strict=True)], laws)


def steps(**settings: Any) -> list[Stepped]:
    drafter = ScriptedDrafter(drawn)
    drafter.drawings = ("in_turn", "iid", "chain")
    config = GenerationConfig(temperature=1.0, max_new_tokens=14, **settings)
    run = list(generate(TableTarget(TARGET), drafter, [0, 3, 1], config))
    assert [from_json(to_json(event)) for event in run] == run
    return [event for event in run if isinstance(event, Stepped)]


def check(law: DraftedFrom, p: torch.Tensor, q: torch.Tensor) -> None:
    ids = [token.token_id for token in law.tokens]
    assert set(ids) == {*p.topk(5).indices.tolist(), *q.topk(5).indices.tolist()}
    assert ids[:5] == q.topk(5).indices.tolist()
    assert [token.draft_prob for token in law.tokens] == pytest.approx(q[ids].tolist())
    assert [token.target_prob for token in law.tokens] == pytest.approx(p[ids].tolist(), abs=1e-5)


@pytest.mark.parametrize("rule", ["rejection", "k_seq", "block_verification"])
def test_the_likeliest_of_both_are_told_at_each_place_of_the_path(rule: str) -> None:
    ids, found = [0, 3, 1], set()
    for step in steps(rule=rule):
        tokens = [node.token_id for node in step.nodes]
        reached = [-1, *step.path][: min(len(step.emitted), 2)]
        assert [law.parent for law in step.drafted_from] == [node for node in reached if node + 1 < len(tokens)]
        for law in step.drafted_from:
            text = [*ids, *tokens[: law.parent + 1]]
            check(law, TARGET.probs(text), DRAFT.probs(text))
        ids += [token.token_id for token in step.emitted]
        found.add(len(step.drafted_from))
    assert {1, 2} <= found


def test_nothing_is_told_without_detail_or_where_no_draft_was_drawn() -> None:
    assert not any(step.drafted_from for step in steps(rule="rejection", has_detail=False))
    drafter = ScriptedDrafter(lambda context, budget: chain([3, 5]))
    run = generate(TableTarget(TARGET), drafter, [0, 3, 1], GenerationConfig(max_new_tokens=9))
    assert not any(event.drafted_from for event in run if isinstance(event, Stepped))


def test_tokens_that_neither_gives_anything_are_left_out() -> None:
    for step in steps(rule="rejection", top_k=2):
        for law in step.drafted_from:
            assert all(token.target_prob or token.draft_prob for token in law.tokens)
