"""The audit tells identical text, a near-tie and a difference apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toys import (
    ScriptedDrafter,
    Table,
    TableTarget,
    output_ids,
    random_trees,
)

from engine.audit import Audit, audit, plain_run
from engine.config import GenerationConfig
from engine.events import SessionFinished, SessionStarted
from engine.loop import generate
from engine.tree import EMPTY_TREE
from tests.engine.audited import GREEDY, PROMPT, continued, drafted, with_ids, with_token


@pytest.mark.parametrize(
    "config",
    [GREEDY, GenerationConfig(max_new_tokens=12, temperature=0.9, repetition_penalty=1.3, stop_strings=("zz",))],
    ids=["greedy", "sampled"],
)
def test_a_run_that_equals_plain_decoding_is_identical(config: GenerationConfig, table_target: TableTarget) -> None:
    found = audit(table_target, plain_run(table_target, PROMPT, config), drafted(table_target, config))
    assert found == Audit("identical", 12)
    assert found.text == "identical to plain decoding (12 tokens)"


def test_another_token_is_different_and_the_gap_is_told(table_target: TableTarget) -> None:
    plain = plain_run(table_target, PROMPT, GREEDY)
    ids = output_ids(plain)
    row = table_target.table.row([*PROMPT, *ids[:5]])
    worst = int(row.argmin())
    found = audit(table_target, plain, with_token(drafted(table_target, GREEDY), 5, worst))
    assert (found.verdict, found.position, found.num_compared) == ("DIFFERENT", 5, 5)
    assert found.gap == pytest.approx((row.max() - row.min()).item(), abs=1e-5)
    assert found.text.startswith("DIFFERENT at token 5 (gap ")


def test_a_difference_is_found_in_sampled_text_too(table_target: TableTarget) -> None:
    config = GenerationConfig(max_new_tokens=12, temperature=1.0, seed=4)
    plain = plain_run(table_target, PROMPT, config)
    other = (output_ids(plain)[7] + 1) % 5
    found = audit(table_target, plain, with_token(drafted(table_target, config), 7, other))
    assert (found.verdict, found.position) == ("DIFFERENT", 7)


def test_two_tokens_that_the_dtype_cannot_tell_apart_are_a_near_tie() -> None:
    target = TableTarget(Table(5))
    ids = output_ids(plain_run(target, PROMPT, GREEDY))
    row = target.table.row([*PROMPT, *ids[:5]])
    other = int(row.topk(2).indices[1])
    row[other] = row.max() - 1e-7
    plain = plain_run(target, PROMPT, GREEDY)
    assert output_ids(plain)[:6] == ids[:6]
    found = audit(target, plain, with_ids(plain, continued(target, [*ids[:5], other], GREEDY)))
    assert (found.verdict, found.position) == ("near-tie", 5)
    assert found.gap is not None
    assert found.tolerance is not None
    assert found.gap <= found.tolerance
    assert found.text.startswith("near-tie at token 5 (gap ")


def test_a_run_that_ended_too_early_by_itself_is_different(table_target: TableTarget) -> None:
    plain = plain_run(table_target, PROMPT, GREEDY)
    found = audit(table_target, plain, drafted(table_target, GenerationConfig(max_new_tokens=7)))
    assert (found.verdict, found.position) == ("DIFFERENT", 7)


def test_a_run_that_was_cut_short_from_outside_is_compared_as_far_as_it_went(table_target: TableTarget) -> None:
    plain = plain_run(table_target, PROMPT, GREEDY)
    asked = iter([False, False, True])
    stopped = drafted(table_target, GREEDY, should_stop=lambda: next(asked))
    assert isinstance(stopped[-1], SessionFinished)
    assert stopped[-1].reason == "stopped"
    found = audit(table_target, plain, stopped)
    assert found == Audit("identical", len(output_ids(stopped)))
    first = (output_ids(plain)[0] + 1) % 5
    assert audit(table_target, plain, with_token(stopped, 0, first)).verdict in ("DIFFERENT", "near-tie")


def test_rejection_is_not_auditable_token_by_token(table_target: TableTarget) -> None:
    config = GenerationConfig(max_new_tokens=12, temperature=1.0, rule="rejection")
    nobody = ScriptedDrafter(lambda context, budget: EMPTY_TREE)
    run = list(generate(table_target, nobody, PROMPT, config))
    found = audit(table_target, plain_run(table_target, PROMPT, config), run)
    assert found.verdict == "not auditable"
    assert "distribution" in found.text


# ---- lossy rules


def test_a_lossy_run_is_measured_and_is_no_error() -> None:
    target = TableTarget(Table(5))
    config = GenerationConfig(max_new_tokens=8, temperature=1.0, rule="typical", seed=2)
    plain = plain_run(target, PROMPT, config)
    ids = output_ids(plain)
    swapped = [*ids[:2], (ids[2] + 1) % 5]
    swapped = [*continued(target, swapped, config, 6)]
    swapped = [*swapped, (continued(target, swapped, config, 7)[6] + 2) % 5]
    given = continued(target, swapped, config, 8)
    run = with_ids(drafted(target, config), given)
    assert isinstance(run[0], SessionStarted)
    run[0] = replace(run[0], guarantee="lossy")
    found = audit(target, plain, run)
    assert (found.verdict, found.position, found.num_compared, found.num_differing) == ("lossy", 2, 8, 2)
    probs = [target.table.probs([*PROMPT, *given[:place]])[given[place]].item() for place in (2, 6)]
    assert found.distance == pytest.approx(1 - sum(probs) / 2, abs=1e-6)
    assert found.text.startswith("lossy: 2 of 8 tokens are not what plain decoding would have written (the first is ")


def test_typical_acceptance_itself_ends_as_lossy() -> None:
    target = TableTarget(Table(5, sharpness=0.3))
    config = GenerationConfig(max_new_tokens=30, temperature=1.0, rule="typical", seed=2)
    run = list(generate(target, ScriptedDrafter(random_trees(5, 2)), PROMPT, config))
    found = audit(target, plain_run(target, PROMPT, config), run)
    assert found.verdict == "lossy"
    assert found.num_differing > 0
    assert 0 < (found.distance or 0) < 1
