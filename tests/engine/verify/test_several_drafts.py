"""Rules for independent siblings, k-SEQ and rejection with replacement: exact laws, golden figures, their optimum."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from coins import SHAPES, Coins, P, Q, distance, drawn_tree, law_of, outcomes, rows_of, tokens_of, toss
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Rows, Table

from engine import verify
from engine.draws import Draws
from engine.errors import RunFailed
from engine.noise import Noise
from engine.tree import DraftTree, chain
from engine.verify import k_seq

RULES = ("with_replacement", "k_seq")
GOLDEN = {"with_replacement": (0.65, 0.770, 0.816), "k_seq": (0.65, 0.791355, 0.858519)}
"""verification.md 2.15: acceptance of 1, 2 and 3 siblings."""


def siblings(count: int, law: torch.Tensor, coins: Coins) -> DraftTree:
    """Independent children of the root; equal ones are one node."""
    paths = [[coins.choose(law.tolist())] for _ in range(count)]
    return DraftTree.merged(paths, draws=(law[None], [[0]] * count, "iid"))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_joint_law_is_the_targets(shape: str, rule: str) -> None:
    target, drafter = Table(3, seed=1), Table(3, seed=2)

    def emit(coins: Coins) -> tuple[int, ...]:
        tree = drawn_tree(SHAPES[shape], drafter, coins, "iid", is_replaced=True)
        return tokens_of(tree, toss(verify.get(rule)(), tree, rows_of(tree, target), coins))

    length = DraftTree((0,) * len(SHAPES[shape]), SHAPES[shape]).depth + 2
    assert distance(law_of(emit, target, length), target, length) < 1e-9


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([0.3, 1.5, 12.0]), st.sampled_from(RULES))
def test_equal_siblings_are_exact_for_any_pair_of_distributions(seed: int, count: int, sharp: float, rule: str) -> None:
    target, drafter = Table(3, seed), Table(3, seed + 1, sharpness=sharp)

    def emit(coins: Coins) -> tuple[int, ...]:
        tree = siblings(count, drafter.probs(()), coins)
        return tokens_of(tree, toss(verify.get(rule)(), tree, rows_of(tree, target), coins))

    assert distance(law_of(emit, target, 2), target, 2) < 1e-9


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_siblings_are_accepted_with_the_golden_probability(count: int, rule: str) -> None:
    def is_accepted(coins: Coins) -> bool:
        tree = siblings(count, Q, coins)
        return bool(toss(verify.get(rule)(), tree, P.expand(len(tree) + 1, 4), coins).path)

    found = sum(weight for weight, accepted in outcomes(is_accepted) if accepted)
    assert found == pytest.approx(GOLDEN[rule][count - 1], abs=6e-4)


def test_the_scale_and_what_it_leaves_are_the_golden_ones() -> None:
    p, q = P.numpy(), Q.numpy()
    assert [k_seq.scale(p, q, k) for k in (1, 2, 3)] == pytest.approx([1, 1.456776, 1.792593], abs=1e-6)
    covered = np.minimum(q, p / k_seq.scale(p, q, 2))
    assert covered.sum() == pytest.approx(0.543224, abs=1e-6)
    assert k_seq.acceptance(covered.sum(), 2) == pytest.approx(0.791355, abs=1e-6)
    residual = k_seq.residual_of(p, covered, covered.sum(), 2)
    assert residual / residual.sum() == pytest.approx([1, 0, 0, 0], abs=1e-6)


@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from([0.5, 3.0]))
def test_no_rule_accepts_more_than_the_optimum_and_k_seq_keeps_its_promise(seed: int, count: int, sharp: float) -> None:
    """The optimum by verification.md 2.5: the least p(H) + 1 - q(H)^k over sets H of tokens."""
    p, q = Table(5, seed, sharp).probs(()), Table(5, seed + 1, sharp).probs(())
    sets = [torch.tensor(mask) for mask in itertools.product((False, True), repeat=5)]
    best = min(float(p[mask].sum() + 1 - q[mask].sum() ** count) for mask in sets)
    rho = k_seq.scale(p.numpy(), q.numpy(), count)
    found = k_seq.acceptance(float(torch.minimum(q, p / rho).sum()), count)
    assert (1 - 1 / np.e) * best - 1e-9 <= found <= best + 1e-9
    chains = float(torch.minimum(p, q).sum())
    assert found >= chains - 1e-9, "more drafts never hurt"


# Degenerate cases


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("tiny", [1e-30, 5e-324])
def test_probabilities_that_underflow_decide_nothing_wrongly(tiny: float, rule: str) -> None:
    p = torch.tensor([1.0, tiny, 0.0, 0.0], dtype=torch.float64)
    q = torch.tensor([tiny, 0.0, 1.0, 0.0], dtype=torch.float64)
    for seed in range(20):
        tree = DraftTree.merged([[2], [2], [0]], draws=(q[None], [[0], [0], [0]], "iid"))
        verdict = verify.get(rule)().verify(tree, Rows(p.expand(3, 4)), Noise(seed), 5)
        assert [*(tree.tokens[node] for node in verdict.path), verdict.next_token][0] == 0


@pytest.mark.parametrize("rule", RULES)
def test_where_top_k_is_1_equal_tokens_are_accepted_and_others_corrected(rule: str) -> None:
    one, other = torch.eye(4)[1], torch.eye(4)[2]
    tree = DraftTree.merged([[1], [1], [1]], draws=(one[None], [[0]] * 3, "iid"))
    assert verify.get(rule)().verify(tree, Rows(one.expand(2, 4)), Noise(0), 5).path == (0,)
    verdict = verify.get(rule)().verify(tree, Rows(other.expand(2, 4)), Noise(0), 5)
    assert (verdict.path, verdict.next_token, verdict.next_origin) == ((), 2, "correction")


@pytest.mark.parametrize("rule", RULES)
def test_siblings_that_were_not_drawn_independently_are_refused(rule: str) -> None:
    draws = Draws(Q[None], (0, 0), "without_replacement")
    with pytest.raises(RunFailed, match="independently"):
        verify.get(rule)().verify(DraftTree((0, 1), (-1, -1), None, draws), Rows(P.expand(3, 4)), Noise(0), 5)
    with pytest.raises(RunFailed, match="drawn from"):
        verify.get(rule)().verify(chain([1]), Rows(P.expand(2, 4)), Noise(0), 5)


def test_k_seq_tells_how_each_draw_was_weighed() -> None:
    tree = DraftTree.merged([[2], [3]], draws=(Q[None], [[0], [0]], "iid"))
    for seed in range(60):
        verdict = k_seq.KSeq(has_detail=True).verify(tree, Rows(P.expand(3, 4)), Noise(seed), 5)
        first, *others = verdict.judged
        told = (first.node, first.overlap, first.ratio, first.residual_mass)
        assert told == pytest.approx((0, 0.543224, 0.15 / (1.456776 * 0.4), 1 - 0.543224), abs=1e-6)
        assert (verdict.path == (0,)) == (not others)
        assert all(judged.residual_mass == pytest.approx(1 - 0.791355, abs=1e-6) for judged in others)
        assert k_seq.KSeq().verify(tree, Rows(P.expand(3, 4)), Noise(seed), 5).judged == ()
