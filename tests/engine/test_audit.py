"""The audit tells identical text, a near-tie and a difference apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from toys import (
    Script,
    ScriptedDrafter,
    Table,
    TableTarget,
    greedy_text,
    loaded,
    output_ids,
    random_trees,
    stand_in,
    tiny,
)

from engine.audit import Audit, audit, plain_run
from engine.config import GenerationConfig
from engine.drafters.base import Context
from engine.events import Event, SessionFinished, SessionStarted, Stepped
from engine.loop import generate
from engine.near_ties import kept
from engine.noise import Noise
from engine.sampling import warp
from engine.target import Pending, Target
from engine.tree import EMPTY_TREE, DraftTree

PROMPT = [0, 3, 1]
GREEDY = GenerationConfig(max_new_tokens=12)


def drafted(target: TableTarget, config: GenerationConfig, **more: object) -> list[Event]:
    truth = greedy_text(target, PROMPT, 12)
    drafter = ScriptedDrafter(random_trees(5, 2, truth=truth))
    return list(generate(target, drafter, PROMPT, config, **more))  # type: ignore[arg-type]


def with_token(events: Sequence[Event], place: int, token_id: int) -> list[Event]:
    """The run with another token at one place of its output."""
    changed, before = list(events), 0
    for i, event in enumerate(events):
        if isinstance(event, Stepped):
            emitted = list(event.emitted)
            if before <= place < before + len(emitted):
                emitted[place - before] = replace(emitted[place - before], token_id=token_id)
                changed[i] = replace(event, emitted=tuple(emitted))
            before += len(emitted)
    return changed


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


# ---- the gap and its tolerance


def with_ids(events: Sequence[Event], ids: Sequence[int]) -> list[Event]:
    """The run with these tokens as its output."""
    changed, rest = [], list(ids)
    for event in events:
        if isinstance(event, Stepped):
            emitted = [replace(token, token_id=rest.pop(0)) for token in event.emitted if rest]
            changed.append(replace(event, emitted=tuple(emitted)))
        else:
            changed.append(event)
    return changed


def continued(target: TableTarget, ids: Sequence[int], config: GenerationConfig, num_tokens: int = 12) -> list[int]:
    """Output that begins with `ids` and goes on as plain decoding would."""
    given = list(ids)
    while len(given) < num_tokens:
        one = replace(config, max_new_tokens=1, stop_strings=())
        given += output_ids(plain_run(target, [*PROMPT, *given], one))
    return given


def equal_behind(target: TableTarget, ids: Sequence[int], gap: float) -> int:
    """Brings the second best score behind prompt and `ids` to within `gap` of the best; which token it is."""
    row = target.table.row([*PROMPT, *ids])
    other = int(row.topk(2).indices[1])
    row[other] = row.max() - gap
    return other


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


# ---- mutations: a runner that is broken on purpose


def later_row_sees_all(mask: torch.Tensor, num_before: int) -> None:
    """A wrong mask: every draft sees the drafts before it, whoever they are."""
    num_rows = mask.shape[2]
    mask[..., num_before:] = torch.tril(torch.ones(num_rows, mask.shape[3] - num_before, dtype=torch.bool))


def drop_the_parent(mask: torch.Tensor, num_before: int) -> None:
    """A dropped ancestor: drafts do not see the draft that they follow."""
    own = mask[0, 0, :, num_before:]
    for row in range(1, len(own)):
        parents = own[row, :row].nonzero().flatten()
        if len(parents):
            mask[0, 0, row, num_before + parents[-1]] = False


def break_passes(monkeypatch: pytest.MonkeyPatch, target: Target, fault: str) -> None:
    """Passes of several rows, and no others, go wrong in this way."""
    model, forward = target.loaded.model, target.loaded.model.forward

    def broken(**given: Any) -> Any:
        num_rows = given["input_ids"].shape[1]
        if fault != "none" and num_rows > 1 and target.kv_length >= 8:  # behind the prefill
            if fault == "position":
                given["position_ids"] = given["position_ids"] + (torch.arange(num_rows) > 0)
            else:
                change = {"mask": later_row_sees_all, "ancestor": drop_the_parent}[fault]
                mask = given["attention_mask"].clone()
                change(mask, mask.shape[-1] - num_rows)
                given["attention_mask"] = mask
        return forward(**given)

    monkeypatch.setattr(model, "forward", broken)


def crowded(text: Sequence[int]) -> Script:
    """Three true tokens, each behind five wrong ones that nobody but themselves should see."""

    def script(context: Context, budget: int) -> DraftTree:
        tokens: list[int] = []
        parents: list[int] = []
        parent = -1
        for true in text[len(context.ids) : len(context.ids) + 3]:
            tokens += [*((true + 7 * i) % 64 for i in range(1, 6)), true]
            parents += [parent] * 6
            parent = len(tokens) - 1
        return DraftTree(tuple(tokens), tuple(parents))

    return script


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("fault", ["none", "mask", "position", "ancestor"])
def test_a_runner_that_is_broken_is_called_different(fault: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault need not change a short text; of three seeds one must, and is never taken for rounding."""
    target = Target(tiny("gpt_neox", dtype))
    prompt, verdicts = list(range(1, 10)), []
    break_passes(monkeypatch, target, fault)
    for seed in (3, 4, 5) if fault != "none" else (3,):
        config = GenerationConfig(max_new_tokens=24, temperature=1.0, seed=seed)
        plain = plain_run(target, prompt, config)
        script = crowded([*prompt, *output_ids(plain)])
        verdicts.append(audit(target, plain, list(generate(target, ScriptedDrafter(script), prompt, config))).verdict)
        if verdicts[-1] == "DIFFERENT":
            break
    assert verdicts[-1] == "DIFFERENT" if fault != "none" else verdicts == ["identical"]
