"""What the loop tells of the target's scores: the plain definition, and nothing of scores that are not finite."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys import ScriptedDrafter, Table, TableTarget, greedy_text, random_trees

from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.events import SessionFinished, Stepped, from_json, to_json
from engine.loop import generate
from engine.sampling import displayed
from engine.target import Pending
from engine.tree import EMPTY_TREE, DraftTree, chain


class BrokenScores(TableTarget):
    """Scores of every row from the third pass on are this number, or those of drafts alone."""

    def __init__(self, number: float, rows: slice) -> None:
        super().__init__(Table(5))
        self.number, self.rows = number, rows

    def launch(self, root_id: int, tree: DraftTree) -> Pending:
        pending = super().launch(root_id, tree)
        if self.num_passes > 2:
            pending.scored.logits[self.rows] = self.number
        return pending


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")], ids=str)
@pytest.mark.parametrize("settings", [{}, {"temperature": 0.8, "top_p": 0.9}, {"has_detail": False}], ids=str)
def test_scores_that_are_not_finite_end_the_run_at_their_step_with_a_sentence(
    number: float, settings: dict[str, Any]
) -> None:
    nobody = ScriptedDrafter(lambda context, budget: EMPTY_TREE)
    run = list(generate(BrokenScores(number, slice(None)), nobody, [0, 3, 1], GenerationConfig(**settings)))
    end = run[-1]
    assert isinstance(end, SessionFinished)
    assert (end.reason, end.counts.steps, end.counts.emitted) == ("failed", 2, 2)
    assert "not finite numbers" in end.message
    assert "\n" not in end.message
    assert [from_json(to_json(event)) for event in run] == run


def test_broken_scores_of_a_draft_that_nobody_reaches_are_no_probability_and_no_fault() -> None:
    target = BrokenScores(float("nan"), slice(2, None))
    truth = greedy_text(TableTarget(Table(5)), [0, 3, 1], 20)
    rejected = ScriptedDrafter(lambda context, budget: chain([(truth[len(context.ids)] + 1) % 5, 0, 0]))
    run = list(generate(target, rejected, [0, 3, 1], GenerationConfig(max_new_tokens=12)))
    assert isinstance(run[-1], SessionFinished)
    assert run[-1].reason == "length", run[-1].message
    steps = [event for event in run if isinstance(event, Stepped)]
    assert [[node.target_prob is None for node in step.nodes] for step in steps[:3]] == [
        [False] * 3, [False] * 3, [False, False, True]
    ]  # fmt: skip
    assert [from_json(to_json(event)) for event in run] == run


def test_a_drafters_own_probability_that_is_not_finite_is_not_told() -> None:
    drafter = ScriptedDrafter(lambda context, budget: chain([1, 2], [float("nan"), 0.5]))
    run = list(generate(TableTarget(Table(5)), drafter, [0, 3, 1], GenerationConfig(max_new_tokens=8)))
    step = next(event for event in run if isinstance(event, Stepped))
    assert [node.draft_prob for node in step.nodes] == [None, 0.5]


def test_events_tell_of_each_node_and_token_what_the_plain_definition_gives() -> None:
    """Temperature, top-k, top-p and the penalty of each row's own context; greedy decoding shows the softmax."""
    for settings in ({}, {"temperature": 0.9, "top_k": 4, "top_p": 0.8, "repetition_penalty": 1.5}):
        target, config = TableTarget(Table(5)), GenerationConfig(max_new_tokens=12, seed=1, **settings)
        text = greedy_text(target, [0, 3, 1], 12, seed=1, **settings)
        context = [0, 3, 1]
        for event in generate(target, ScriptedDrafter(random_trees(5, 2, truth=text)), [0, 3, 1], config):
            if not isinstance(event, Stepped):
                continue
            tree = DraftTree(tuple(n.token_id for n in event.nodes), tuple(n.parent for n in event.nodes))
            for node, parent in zip(event.nodes, tree.parents, strict=True):
                before = [*context, *(tree.tokens[i] for i in tree.path_to(parent))]
                row = displayed(target.table.row(before)[None].float(), config, [before])[0]
                assert node.target_prob == pytest.approx(row[node.token_id].item(), abs=1e-6)
            for token in event.emitted:
                row = displayed(target.table.row(context)[None].float(), config, [context])[0]
                assert token.target_prob == pytest.approx(row[token.token_id].item(), abs=1e-6)
                best = {candidate.token_id: candidate.probability for candidate in token.alternatives}
                assert best == pytest.approx({i: p for i, p in enumerate(row.tolist()) if p > 0}, abs=1e-6)
                assert list(best.values()) == sorted(best.values(), reverse=True)
                context.append(token.token_id)


def test_a_step_tells_how_its_draws_were_judged_as_far_as_its_text_goes_and_only_with_detail() -> None:
    table = Table(5)

    def drawn(context: Context, room: Room) -> DraftTree:
        rows = torch.stack([table.probs([*context.ids]), torch.full((5,), 0.2, dtype=torch.float64)])
        tokens = [context.noise.draw(row, context.position + depth, "draft") for depth, row in enumerate(rows)]
        return chain(tokens, None, rows)

    settings: dict[str, Any] = {"temperature": 1.0, "rule": "rejection", "max_new_tokens": 12}
    target = TableTarget(table)
    told = list(generate(target, ScriptedDrafter(drawn), [0, 3, 1], GenerationConfig(**settings)))
    lean = list(generate(target, ScriptedDrafter(drawn), [0, 3, 1], GenerationConfig(**settings, has_detail=False)))
    assert [from_json(to_json(event)) for event in told] == told
    steps = [event for event in told if isinstance(event, Stepped)]
    for step in steps:
        assert [judged.node for judged in step.judged] == [
            i for i, node in enumerate(step.nodes) if node.status != "unreached"
        ]
        for first in step.judged[:1]:  # drawn from the target itself
            assert (first.overlap, first.ratio, first.residual_mass) == pytest.approx((1, 1, 0), abs=1e-6)
    assert {len(step.judged) for step in steps} >= {2}
    assert all(event.judged == () for event in lean if isinstance(event, Stepped))


def test_where_a_text_ends_inside_its_path_nothing_behind_is_judged() -> None:
    sure = Table(5)
    sure.logits = torch.full_like(sure.logits, -1e9)
    sure.logits[..., 2] = 0.0
    drafter = ScriptedDrafter(lambda context, budget: chain([2] * 3, None, torch.eye(5)[[2, 2, 2]]))
    config = GenerationConfig(temperature=1.0, rule="rejection", max_new_tokens=9)
    run = list(generate(TableTarget(sure, eos_id=2), drafter, [0, 3, 1], config))
    step = next(event for event in run if isinstance(event, Stepped))
    assert [node.status for node in step.nodes] == ["accepted", "unreached", "unreached"]
    assert [judged.node for judged in step.judged] == [0]
