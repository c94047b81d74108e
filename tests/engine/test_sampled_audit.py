"""The statistical audit: exact rules fit, faults are called different, lossy rules are measured and are no error."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys import ScriptedDrafter, Table, TableTarget

from engine.config import GenerationConfig
from engine.drafters import Drafter
from engine.drafters.base import Context
from engine.noise import Noise
from engine.sampled_audit import MethodAudit, PlainTexts, in_rounds
from engine.sampled_counts import FINE_PARTS, Plan, SampledAudit, Tally, beyond_chance, finding, num_same, uniforms
from engine.tree import DraftTree, chain
from engine.verify import k_seq, rejection
from engine.verify.greedy import Greedy
from engine.verify.node_sampling import NodeSampling

TARGET, DRAFT = Table(5, seed=1), Table(5, seed=2)
ALPHA = 1e-6


def drawn(context: Context, budget: int) -> DraftTree:
    """A chain of two draws, of noise that no other step has."""
    tokens: list[int] = []
    rows: list[torch.Tensor] = []
    for depth in range(min(2, budget)):
        rows.append(DRAFT.probs([*context.ids, *tokens]))
        tokens.append(context.noise.draw(rows[-1], context.position, f"draft {depth}"))
    return chain(tokens, None, torch.stack(rows)) if tokens else DraftTree()


def pair(context: Context, budget: int, count: int = 2) -> DraftTree:
    """Independent siblings."""
    row = DRAFT.probs(context.ids)
    tokens = [context.noise.draw(row, context.position, f"draft {number}") for number in range(count)]
    return DraftTree.merged([[token] for token in tokens], draws=(row[None], [[0]] * count, "iid")).pruned(budget, 1)


def likeliest(context: Context, budget: int) -> DraftTree:
    return chain([int(DRAFT.probs(context.ids).argmax())][:budget])


def by_table(ids: Any, probs: torch.Tensor) -> torch.Tensor:
    """The drafter's probability over the target's."""
    first = len(ids) - len(probs)
    return torch.stack([DRAFT.probs(ids[: first + i]) for i in range(len(probs))]) / probs


def method(script: Any, *configs: GenerationConfig, num_tokens: int = 600) -> MethodAudit:
    """A scripted drafter's audit, of one setting or several."""
    make = lambda: ScriptedDrafter(script)  # noqa: E731
    return MethodAudit(make, configs, [[0, 1], [2]], Plan(num_tokens, ALPHA), by_table, PlainTexts(TableTarget(TARGET)))


def audited(rule: str, script: Any, num_tokens: int = 600, **settings: Any) -> SampledAudit:
    found = method(
        script, GenerationConfig(max_new_tokens=40, temperature=1.0, rule=rule, **settings), num_tokens=num_tokens
    )
    for _ in in_rounds([found]):
        pass
    (one,) = found.findings()
    return one


@pytest.mark.parametrize(
    ("rule", "script"),
    [("rejection", drawn), ("block_verification", drawn), ("k_seq", pair), ("with_replacement", pair)],
)
def test_exact_rules_fit(rule: str, script: Any) -> None:
    found = audited(rule, script)
    assert found.verdict == "fits", found.text
    assert found.num_tokens == 600
    assert found.block_efficiency > 1.05


def test_a_residual_that_is_the_target_itself_is_called_different(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejection, "residual_of", lambda probs, drawn_from: probs)
    found = audited("rejection", drawn, 2400)
    assert found.verdict == "DIFFERENT", found.text
    assert found.distance > 0.03


def test_k_seq_at_scale_1_is_called_different(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k_seq, "scale", lambda p, q, num_draws: 1.0)
    assert audited("k_seq", lambda context, budget: pair(context, budget, 4), 2400).verdict == "DIFFERENT"


def test_runs_that_are_plain_decodings_token_for_token_see_more_with_fewer_tokens() -> None:
    found = audited("node_sampling", likeliest, 9999)
    assert found.verdict == "identical", found.text
    assert num_same() <= found.num_tokens < num_same() + 40
    assert found.seen == pytest.approx(1 - 0.01 ** (1 / found.num_tokens))
    assert found.block_efficiency > 1.05


def test_a_text_that_parts_from_plain_decodings_is_weighed_by_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlainTexts, "of", lambda *given: [0])
    assert audited("node_sampling", likeliest).verdict == "fits"
    monkeypatch.setattr(NodeSampling, "_next", Greedy._next)
    assert audited("node_sampling", likeliest).verdict == "DIFFERENT"


def test_several_settings_have_a_finding_each_and_one_together() -> None:
    configs = [GenerationConfig(max_new_tokens=30, temperature=t, rule="rejection") for t in (0.6, 1.0, 1.4)]
    found = method(drawn, *configs, num_tokens=601)
    for _ in in_rounds([found]):
        pass
    *alone, together = found.findings()
    assert [one.num_tokens for one in alone] == [201] * 3
    assert (together.num_tokens, together.verdict) == (603, "fits")
    assert together.seen < min(one.seen for one in alone)
    seeds = [tally.num_runs for tally in found.tallies]
    assert max(seeds) - min(seeds) <= 1, "settings take turns"


def test_a_token_that_the_target_gives_nothing_is_called_different_however_seldom() -> None:
    tally = Tally([(place % 7) / 7 for place in range(3200)], impossible=1)
    for is_same in (False, True):
        assert finding([tally], Plan(3200, ALPHA), 3200, is_lossy=False, is_same=is_same).verdict == "DIFFERENT"


def test_a_lossy_rule_is_measured_and_called_lossy() -> None:
    found = audited("among_top", likeliest)
    assert found.verdict == "lossy"
    assert found.distance > 0.05
    assert "off by" in found.text


def test_an_audit_without_time_is_cut_short_and_all_are_as_far() -> None:
    config = GenerationConfig(max_new_tokens=20, temperature=1.0, rule="rejection")
    audits = [
        method(script, config, num_tokens=9999)
        for script in (drawn, lambda context, budget: drawn(context, min(1, budget)))
    ]
    for _ in in_rounds(audits, seconds=0.0):
        pass
    for audit in audits:
        (found,) = audit.findings()
        assert (found.verdict, found.num_tokens) == ("cut short", 20)
        assert found.seen > 0.5


def test_a_run_that_breaks_says_why() -> None:
    def broken(context: Context, budget: int) -> DraftTree:
        raise RuntimeError("the scripted fault")

    found = audited("rejection", broken)
    assert found.verdict == "failed"
    assert "the scripted fault" in found.text


def test_numbers_of_tokens_are_uniform_where_tokens_are_drawn_and_not_else() -> None:
    law = torch.tensor([0.5, 0.3, 0.15, 0.05])
    keys = torch.tensor([3.0, 1.0, 2.0, 2.0])
    found = uniforms(torch.arange(4), law.expand(4, 4), keys.expand(4, 4), torch.full((4,), 0.5))
    assert found.tolist() == pytest.approx([0.75, 0.15, 0.375, 0.475], abs=1e-6)
    tokens = torch.tensor([Noise(seed).draw(law, 0) for seed in range(4000)])
    shares = torch.rand(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn_well = uniforms(tokens, law.expand(4000, 4), keys.expand(4000, 4), shares)
    counts = torch.bincount((drawn_well * 8).long(), minlength=8)
    assert (counts - 500).abs().max() < 110
    assert beyond_chance([*range(FINE_PARTS)] * 50) == 0
    assert beyond_chance([*range(FINE_PARTS // 2)] * 400) == pytest.approx(0.5, abs=0.06)


def test_a_drafter_is_made_anew_for_each_run() -> None:
    made: list[Drafter] = []

    def make() -> Drafter:
        made.append(ScriptedDrafter(likeliest))
        return made[-1]

    config = GenerationConfig(max_new_tokens=10, temperature=1.0)
    audit = MethodAudit(make, [config], [[0, 1]], Plan(40, ALPHA), by_table, PlainTexts(TableTarget(TARGET)))
    asked = len(made)
    for _ in in_rounds([audit]):
        pass
    assert len(made) - asked == 4
    assert len({id(one) for one in made}) == len(made)
