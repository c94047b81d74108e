"""Block verification: its exact law on chains of any length, golden figures, and that it accepts at least as much."""

from __future__ import annotations

import pytest
import torch
from coins import Coins, P, Q, distance, drawn_tree, each, law_of, outcomes, rows_of, tokens_of, toss
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Rows, Table

from engine.draws import Draws
from engine.errors import RunFailed
from engine.noise import Noise
from engine.tree import EMPTY_TREE, DraftTree, chain
from engine.verify import Rule
from engine.verify.block_verification import BlockVerification, held_shares, holding_chances
from engine.verify.rejection import Rejection


def expected_length(rule: Rule, depth: int, target: Table, drafter: Table) -> float:
    """Mean number of accepted tokens of a sampled chain."""

    def accepted(coins: Coins) -> int:
        tree = drawn_tree(range(-1, depth - 1), drafter, coins, "iid", is_replaced=True)
        return len(toss(rule, tree, rows_of(tree, target), coins).path)

    return sum(weight * length for weight, length in outcomes(accepted))


class SameRow(Table):
    """A table with one row."""

    def __init__(self, probs: torch.Tensor) -> None:
        super().__init__(len(probs))
        self.logits = probs.log().expand_as(self.logits)


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.integers(0, 3), st.sampled_from([0.0, 1.5, 8.0]))
def test_the_joint_law_is_the_targets(seed: int, depth: int, sharpness: float) -> None:
    target, drafter = Table(3, seed), Table(3, seed + 1, sharpness)

    def emit(coins: Coins) -> tuple[int, ...]:
        tree = drawn_tree(range(-1, depth - 1), drafter, coins, "iid", is_replaced=True)
        return tokens_of(tree, toss(BlockVerification(), tree, rows_of(tree, target), coins))

    assert distance(law_of(emit, target, depth + 2), target, depth + 2) < 1e-9


def test_judged_chains_tell_the_golden_figures() -> None:
    """Draft (2, 0): it holds whole with 0.9375, its first token alone never."""
    rows, tree = Rows(P.expand(3, 4)), chain([2, 0], drawn_from=Q.expand(2, 4))
    for seed in range(4):
        told = BlockVerification(has_detail=True).verify(tree, rows, Noise(seed), 5)
        assert [judged.node for judged in told.judged] == [0, 1]
        assert [judged.overlap for judged in told.judged] == pytest.approx([0.65, 0.65])
        assert [judged.residual_mass for judged in told.judged] == pytest.approx([0.35, 0])
        assert [judged.chance for judged in told.judged] == pytest.approx([0, 0.9375])
        assert (told.path == (0, 1)) == (told.judged[1].draw < 0.9375)
        silent = BlockVerification().verify(tree, rows, Noise(seed), 5)
        assert (silent.path, silent.next_token, silent.judged) == (told.path, told.next_token, ())


@pytest.mark.parametrize("seed", range(4))
def test_a_chain_that_ends_behind_what_was_drawn_is_exact(seed: int) -> None:
    """As `min_confidence` ends one: behind a token, whichever it is, that the drafter gave little."""
    target, drafter = Table(3, seed), Table(3, seed + 20)

    def emit(coins: Coins) -> tuple[int, ...]:
        tokens: list[int] = []
        rows: list[torch.Tensor] = []
        while len(tokens) < 3 and (not tokens or rows[-1][tokens[-1]] > 0.3):
            rows.append(drafter.probs(tokens))
            tokens.append(coins.choose(rows[-1].tolist()))
        tree = chain(tokens, None, torch.stack(rows))
        return tokens_of(tree, toss(BlockVerification(), tree, rows_of(tree, target), coins))

    assert distance(law_of(emit, target, 4), target, 4) < 1e-9


@pytest.mark.parametrize(("depth", "wanted"), [(2, 1.1425), (3, 1.531125), (4, 1.843931)])
def test_a_chain_has_the_golden_expected_accepted_length(depth: int, wanted: float) -> None:
    found = expected_length(BlockVerification(), depth, SameRow(P), SameRow(Q))
    assert found == pytest.approx(wanted, abs=1e-6)


def test_the_chances_of_one_draft_are_the_golden_ones() -> None:
    shares = held_shares((2, 0), P.expand(3, 4), Q.expand(2, 4))
    assert shares == pytest.approx([1, 0.375, 0.9375])
    left = [float((share * P - Q).clamp(min=0).sum()) for share in shares[:-1]]
    assert holding_chances(shares, left) == pytest.approx([0, 0.9375])


@pytest.mark.parametrize("seed", range(6))
def test_never_fewer_tokens_are_accepted_than_by_rejection(seed: int) -> None:
    target, drafter = Table(3, seed), Table(3, seed + 50)
    block, token = (expected_length(rule, 3, target, drafter) for rule in (BlockVerification(), Rejection()))
    assert block >= token - 1e-12
    single = [expected_length(rule, 1, target, drafter) for rule in (BlockVerification(), Rejection())]
    assert single[0] == pytest.approx(single[1])


# Degenerate cases


@pytest.mark.parametrize("seed", range(10))
def test_drafts_from_the_target_itself_are_accepted_whole_and_impossible_ones_never(seed: int) -> None:
    own = chain([1, 0, 2], None, P.expand(3, 4))
    assert BlockVerification().verify(own, Rows(P.expand(4, 4)), Noise(seed), 5).path == (0, 1, 2)
    half = torch.tensor([0.5, 0.5, 0.0, 0.0])
    foreign = chain([2, 0], None, torch.stack([half.flip(0), half]))
    verdict = BlockVerification().verify(foreign, Rows(half.expand(3, 4)), Noise(seed), 5)
    assert verdict.path == ()
    assert verdict.next_token in (0, 1)


def test_probabilities_that_underflow_and_top_k_1() -> None:
    tiny = torch.tensor([1.0, 5e-324, 0.0, 0.0], dtype=torch.float64)
    tree = chain([1, 0], None, torch.stack([tiny, tiny]))
    assert BlockVerification().verify(tree, Rows(tiny.expand(3, 4)), Noise(0), 5).path == (0, 1)
    one, other = torch.eye(4)[1], torch.eye(4)[2]
    tree = chain([1, 1], None, one.expand(2, 4))
    assert BlockVerification().verify(tree, Rows(one.expand(3, 4)), Noise(0), 5).path == (0, 1)
    verdict = BlockVerification().verify(tree, Rows(other.expand(3, 4)), Noise(0), 5)
    assert (verdict.path, verdict.next_token, verdict.next_origin) == ((), 2, "correction")


def test_no_draft_is_a_plain_draw_and_a_tree_is_refused() -> None:
    assert BlockVerification().verify(EMPTY_TREE, Rows(torch.eye(4)[3:]), Noise(0), 5).next_origin == "plain"
    twins = DraftTree((0, 1), (-1, -1), None, Draws(Q[None], (0, 0), "iid"))
    with pytest.raises(RunFailed, match="a chain"):
        BlockVerification().verify(twins, Rows(P.expand(3, 4)), Noise(0), 5)
    with pytest.raises(RunFailed, match="drawn from"):
        BlockVerification().verify(chain([1]), Rows(P.expand(2, 4)), Noise(0), 5)
    assert each(Q[None]).is_drawn("chain", (-1,))


def test_uniforms_of_a_step_are_those_of_its_first_place_alone() -> None:
    """What rejected a later token must not judge the one that takes its place in the next step."""
    asked = set()

    class Watched(Noise):
        def uniforms(self, place: int, stream: str) -> object:  # type: ignore[override]
            asked.add(place)
            return super().uniforms(place, stream)

    BlockVerification().verify(chain([1, 0, 2], None, P.expand(3, 4)), Rows(P.expand(4, 4)), Watched(3), 5)
    assert asked == {5}
