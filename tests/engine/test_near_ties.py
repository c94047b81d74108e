"""The gap of two scores and what is forgiven: near-ties, penalties, temperature, borders, bf16."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from toys import (
    Table,
    TableTarget,
    loaded,
    output_ids,
    stand_in,
)

from engine.audit import audit, plain_run
from engine.config import GenerationConfig
from engine.near_ties import kept
from engine.noise import Noise
from engine.sampling import warp
from engine.target import Pending
from engine.tree import DraftTree
from tests.engine.audited import GREEDY, PROMPT, continued, equal_behind, with_ids, with_token


def test_what_stands_behind_a_near_tie_is_compared_too() -> None:
    target = TableTarget(Table(8))
    ids = output_ids(plain_run(target, PROMPT, GREEDY))
    other = equal_behind(target, ids[:3], 1e-7)
    plain = plain_run(target, PROMPT, GREEDY)
    assert output_ids(plain)[:4] == ids[:4]
    right = continued(target, [*ids[:3], other], GREEDY)
    found = audit(target, plain, with_ids(plain, right))
    assert (found.verdict, found.position, found.num_compared, found.num_differing) == ("near-tie", 3, 12, 1)
    wrong = [*right[:9], (right[9] + 1) % 8, *right[10:]]
    found = audit(target, plain, with_ids(plain, wrong))
    assert (found.verdict, found.position) == ("DIFFERENT", 9)


def test_every_near_tie_is_counted() -> None:
    target = TableTarget(Table(8))
    ids = output_ids(plain_run(target, PROMPT, GREEDY))
    first = [*ids[:3], equal_behind(target, ids[:3], 1e-7)]
    second = continued(target, first, GREEDY, 8)
    second = [*second, equal_behind(target, second, 1e-7)]
    plain = plain_run(target, PROMPT, GREEDY)
    found = audit(target, plain, with_ids(plain, continued(target, second, GREEDY)))
    assert (found.verdict, found.position) == ("near-tie", 3)
    assert found.num_differing >= 2
    assert "more behind it" in found.text


def test_scores_are_penalised_before_they_are_compared() -> None:
    config = GenerationConfig(max_new_tokens=6, repetition_penalty=2.0)
    for nearness, verdict in ((4e-7, "near-tie"), (0.5, "DIFFERENT")):
        target = TableTarget(Table(5))
        row = target.table.row(PROMPT)
        row[:] = -9.0
        row[3], row[2] = 6.0, 3.0 - nearness  # 3 stands in the prompt, 2 does not
        plain = plain_run(target, PROMPT, config)
        assert output_ids(plain)[0] == 3
        found = audit(target, plain, with_ids(plain, continued(target, [2], config, 6)))
        assert (found.verdict, found.position) == (verdict, 0)
        assert found.gap == pytest.approx(nearness, abs=1e-6)


def test_the_gap_of_a_sampled_difference_is_that_of_the_scores_with_the_noise_of_their_place() -> None:
    target = TableTarget(Table(5))
    config = GenerationConfig(max_new_tokens=12, temperature=0.7, seed=4)
    plain = plain_run(target, PROMPT, config)
    ids = output_ids(plain)
    context = [*PROMPT, *ids[:7]]
    scores = warp(target.table.row(context)[None], config)[0].log() + Noise(4).gumbel(len(context), 5)
    other = int(scores.argmin())
    found = audit(target, plain, with_token(plain, 7, other))
    assert (found.verdict, found.position) == ("DIFFERENT", 7)
    assert found.gap == pytest.approx((scores[ids[7]] - scores[other]).item(), abs=1e-5)


@pytest.mark.parametrize(("temperature", "verdict"), [(0.2, "near-tie"), (2.0, "DIFFERENT")])
def test_the_tolerance_is_divided_by_the_temperature_as_the_scores_are(temperature: float, verdict: str) -> None:
    """A gap of 2e-6 with noise: 1e-6 or so of a score of 3 is rounding, five times that at a temperature of 0.2."""
    target = TableTarget(Table(5))
    config = GenerationConfig(max_new_tokens=1, temperature=temperature, seed=1)
    row = target.table.row(PROMPT)
    row[:] = -50.0
    gumbel = Noise(1).gumbel(len(PROMPT), 5).double()
    row[1] = 3.0
    row[2] = 3.0 + temperature * (gumbel[1] - gumbel[2] - 2e-6)
    plain = plain_run(target, PROMPT, config)
    other = 3 - output_ids(plain)[0]
    assert audit(target, plain, with_ids(plain, [other])).verdict == verdict


@pytest.mark.parametrize("settings", [{"top_k": 2}, {"top_p": 0.6}], ids=str)
@pytest.mark.parametrize(("nearness", "verdict"), [(1e-7, "near-tie"), (0.3, "DIFFERENT")])
def test_a_token_just_outside_the_border_is_a_near_tie_and_one_far_outside_is_not(
    settings: dict[str, Any], nearness: float, verdict: str
) -> None:
    target = TableTarget(Table(5))
    config = GenerationConfig(max_new_tokens=1, temperature=1, seed=3, **settings)
    row = target.table.row(PROMPT)
    row[:] = -50.0
    outside = int(Noise(3).gumbel(len(PROMPT), 5).argmax())
    inside = [token for token in range(5) if token != outside][:2]
    row[inside], row[outside] = 2.0, 2.0 - nearness
    plain = plain_run(target, PROMPT, config)
    assert output_ids(plain)[0] in inside
    found = audit(target, plain, with_ids(plain, [outside]))
    assert (found.verdict, found.position) == (verdict, 0)
    assert (found.gap is None) == (verdict == "DIFFERENT")
    assert found.text.startswith(f"{verdict} at token 0 (")


def test_which_tokens_top_k_and_top_p_keep_where_rounding_leaves_it_open() -> None:
    shares = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64).log()
    certain, possible = kept(shares, 2, 1.0, 1e-6)
    assert (certain.tolist(), possible.tolist()) == ([True, True, False, False],) * 2
    certain, possible = kept(shares, 2, 1.0, 0.5)
    assert certain.tolist() == [True, False, False, False], "0.3 and 0.2 may change places"
    assert possible.tolist() == [True, True, True, False]
    certain, possible = kept(shares, 0, 0.7, 1e-6)
    assert (certain.tolist(), possible.tolist()) == ([True, True, False, False], [True, True, True, False])
    certain, possible = kept(shares, 0, 0.69, 1e-6)
    assert (certain.tolist(), possible.tolist()) == ([True, True, False, False],) * 2
    assert all(part.all() for part in kept(shares, 0, 1.0, 0.5))


class Bf16Target(TableTarget):
    """A target whose scores claim to be bf16, and change by `noise` where rows share a pass."""

    def __init__(self, table: Table, noise: float = 0.0) -> None:
        super().__init__(table)
        model = stand_in(table.vocab_size)
        model.dtype = torch.bfloat16
        self.loaded, self.noise = loaded(model, table.vocab_size, 64, None, "table"), noise

    def launch(self, root_id: int, tree: DraftTree) -> Pending:
        pending = super().launch(root_id, tree)
        pending.scored.logits[:, 0] += self.noise * bool(tree)
        return pending


@pytest.mark.parametrize(
    ("noise", "gap", "verdict"),
    [
        (0.0, 0.3, "near-tie"),
        (0.0, 0.45, "DIFFERENT"),
        (0.25, 0.45, "near-tie"),
        (0.25, 0.55, "DIFFERENT"),
        (2.0, 0.45, "DIFFERENT"),
    ],
)
def test_bf16_is_forgiven_three_units_or_the_noise_that_was_measured_and_no_more(
    noise: float, gap: float, verdict: str
) -> None:
    """Scores of 20 have units of 1/8; a change that no rounding makes is an error, and not a measure of noise."""
    target = Bf16Target(Table(5), noise)
    row = target.table.row(PROMPT)
    row[:] = torch.tensor([-4.0, 20.0, 20.0 - gap, 1.0, 2.0])
    plain = plain_run(target, PROMPT, replace(GREEDY, max_new_tokens=4))
    found = audit(target, plain, with_ids(plain, continued(target, [2], GREEDY, 4)))
    assert (found.verdict, found.position) == (verdict, 0)
    assert found.gap == pytest.approx(gap, abs=1e-5)
    assert found.tolerance == pytest.approx(0.5 if noise == 0.25 else 0.375)
