"""Rejection: its exact law for every scheme of draws, golden vectors, and what it tells of its judgements."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

import pytest
import torch
from coins import (
    SHAPES,
    Coins,
    P,
    Q,
    Uniform,
    distance,
    drawn_tree,
    each,
    law_of,
    outcomes,
    rows_of,
    tokens_of,
    toss,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Rows, Table

from engine.draws import Draws, Scheme
from engine.noise import Noise
from engine.tree import DraftTree
from engine.verify.rejection import Rejection, examine, residual_of

WAYS: dict[str, tuple[Scheme, bool]] = {
    "iid": ("iid", True),
    "without replacement": ("without_replacement", False),
    "a law each, with replacement": ("conditional", True),
    "a law each, without replacement": ("conditional", False),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_rejection_emits_the_targets_joint_law(shape: str, way: str) -> None:
    target, drafter = Table(3, seed=1), Table(3, seed=2)
    scheme, is_replaced = WAYS[way]

    def emit(coins: Coins) -> tuple[int, ...]:
        tree = drawn_tree(SHAPES[shape], drafter, coins, scheme, is_replaced=is_replaced)
        return tokens_of(tree, toss(Rejection(), tree, rows_of(tree, target), coins))

    length = DraftTree((0,) * len(SHAPES[shape]), SHAPES[shape]).depth + 2
    assert distance(law_of(emit, target, length), target, length) < 1e-9


@pytest.mark.parametrize("sharpness", [0.0, 8.0], ids=["drafter knows nothing", "drafter is sure"])
def test_rejection_is_exact_for_extreme_drafters(sharpness: float) -> None:
    target, drafter = Table(3, seed=5, sharpness=4.0), Table(3, seed=6, sharpness=sharpness)

    def emit(coins: Coins) -> tuple[int, ...]:
        tree = drawn_tree((-1, 0), drafter, coins, "iid", is_replaced=True)
        return tokens_of(tree, toss(Rejection(), tree, rows_of(tree, target), coins))

    assert distance(law_of(emit, target, 4), target, 4) < 1e-9


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.lists(st.integers(-1, 3), max_size=4), st.sampled_from([*WAYS]))
def test_rejection_is_exact_for_any_small_tree(seed: int, wanted: list[int], way: str) -> None:
    parents = tuple(min(parent, node - 1) for node, parent in enumerate(wanted))
    target, drafter = Table(2, seed), Table(2, seed + 1)
    siblings = max((parents.count(parent) for parent in parents), default=0)
    scheme, is_replaced = WAYS["iid" if siblings > 2 else way]

    def emit(coins: Coins) -> tuple[int, ...]:
        tree = drawn_tree(parents, drafter, coins, scheme, is_replaced=is_replaced)
        return tokens_of(tree, toss(Rejection(), tree, rows_of(tree, target), coins))

    assert distance(law_of(emit, target, 4), target, 4) < 1e-9


# Golden vectors of verification.md 2.15, recomputed there: p and q above, the same row at every prefix


class SameRow(Table):
    """A table with one row."""

    def __init__(self, probs: torch.Tensor) -> None:
        super().__init__(len(probs))
        self.logits = probs.log().expand_as(self.logits)


def accept_probability(tree: DraftTree, probs: torch.Tensor) -> list[float]:
    """Chance that each child of the root is accepted once it is examined."""
    found = [0.0] * len(tree)
    for node in range(len(tree)):
        laws = cast(Draws, tree.draws).rows[: node + 1]
        only = DraftTree(tree.tokens[: node + 1], (-1,) * (node + 1), None, each(laws))

        def survivor(coins: Coins, only: DraftTree = only) -> int | None:
            return examine(only, -1, probs, cast(Any, itertools.repeat(Uniform(coins))))[0]

        law: dict[int | None, float] = defaultdict(float)
        for weight, child in outcomes(survivor):
            law[child] += weight
        reached = 1 - sum(law[i] for i in range(node))
        found[node] = law[node] / reached if reached else 0.0
    return found


def test_the_residual_is_the_golden_one() -> None:
    assert torch.minimum(P, Q).sum().item() == pytest.approx(0.65)
    torch.testing.assert_close(residual_of(P, Q), torch.tensor([6 / 7, 1 / 7, 0, 0], dtype=torch.float64))
    torch.testing.assert_close(residual_of(P, P), P)


def test_single_drafts_are_accepted_with_the_golden_probabilities() -> None:
    found = [accept_probability(DraftTree((token,), (-1,), None, each(Q[None])), P)[0] for token in range(4)]
    assert found == pytest.approx([1, 1, 0.375, 1 / 3])


def test_a_second_sibling_is_judged_against_the_golden_residual() -> None:
    remaining = torch.tensor([1 / 3, 5 / 12, 0, 1 / 4], dtype=torch.float64)
    rows = torch.stack([Q, remaining])
    found = [accept_probability(DraftTree((2, token), (-1, -1), None, each(rows)), P)[1] for token in (0, 1, 3)]
    assert found == pytest.approx([1, 0.342857, 0], abs=1e-6)
    left = residual_of(residual_of(P, Q), remaining)
    torch.testing.assert_close(left, torch.tensor([1.0, 0, 0, 0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("num_siblings", "is_replaced", "wanted"),
    [(1, True, 0.65), (2, True, 0.770), (3, True, 0.816), (2, False, 0.806863), (3, False, 0.899713)],
)
def test_several_siblings_are_accepted_with_the_golden_probability(
    num_siblings: int, is_replaced: bool, wanted: float
) -> None:
    def is_accepted(coins: Coins) -> bool:
        tree = drawn_tree((-1,) * num_siblings, SameRow(Q), coins, "conditional", is_replaced=is_replaced)
        return bool(toss(Rejection(), tree, rows_of(tree, SameRow(P)), coins).path)

    found = sum(weight for weight, accepted in outcomes(is_accepted) if accepted)
    assert found == pytest.approx(wanted, abs=6e-4 if is_replaced else 1e-6)


@pytest.mark.parametrize(("depth", "wanted"), [(2, 1.0725), (3, 1.347125), (4, 1.525631)])
def test_a_chain_has_the_golden_expected_accepted_length(depth: int, wanted: float) -> None:
    def accepted(coins: Coins) -> int:
        tree = drawn_tree(range(-1, depth - 1), SameRow(Q), coins, "iid", is_replaced=True)
        return len(toss(Rejection(), tree, rows_of(tree, SameRow(P)), coins).path)

    found = sum(weight * length for weight, length in outcomes(accepted))
    assert found == pytest.approx(wanted, abs=1e-6)


# Equal draws that are one node


def drawn_paths(lengths: Sequence[int], drafters: Sequence[Table], coins: Coins, scheme: Scheme) -> DraftTree:
    """Paths drawn from the root one behind the other, each by its own drafter, and merged."""
    paths: list[list[int]] = []
    rows: list[torch.Tensor] = []
    row_of: list[list[int]] = []
    for length, drafter in zip(lengths, drafters, strict=True):
        path: list[int] = []
        for _ in range(length):
            rows.append(drafter.probs(path))
            path.append(coins.choose(rows[-1].tolist()))
        row_of.append([*range(len(rows) - length, len(rows))])
        paths.append(path)
    return DraftTree.merged(paths, draws=(torch.stack(rows), row_of, scheme))


def merged_distance(
    lengths: Sequence[int], drafters: Sequence[Table], scheme: Scheme, most: tuple[int, int], *, naive: bool = False
) -> float:
    """How far from the target's law rejection is on merged paths that are cut to a room."""
    target = Table(drafters[0].vocab_size, seed=1)

    def emit(coins: Coins) -> tuple[int, ...]:
        tree = drawn_paths(lengths, drafters, coins, scheme)
        cut = tree.only([i for i, d in enumerate(tree.depths) if d <= most[1]][: most[0]]) if naive else None
        tree = tree.pruned(*most) if cut is None else cut
        return tokens_of(tree, toss(Rejection(), tree, rows_of(tree, target), coins))

    length = max(lengths) + 1
    return distance(law_of(emit, target, length), target, length)


@pytest.mark.parametrize("most", [(64, 64), (64, 1), (1, 64), (2, 64), (3, 2)], ids=str)
@pytest.mark.parametrize(("vocab_size", "lengths"), [(3, (1, 1)), (3, (1, 1, 1)), (3, (2, 2)), (2, (2, 1, 2))])
def test_merged_paths_are_exact_however_they_are_cut(
    vocab_size: int, lengths: tuple[int, ...], most: tuple[int, int]
) -> None:
    assert merged_distance(lengths, [Table(vocab_size, seed=9)] * len(lengths), "iid", most) < 1e-9


@pytest.mark.parametrize("most", [(64, 64), (2, 64)], ids=["whole", "cut"])
def test_paths_of_several_drafters_are_exact_with_a_law_each(most: tuple[int, int]) -> None:
    drafters = [Table(3, seed=2), Table(3, seed=3)]
    assert merged_distance((2, 2), drafters, "conditional", most) < 1e-9


def test_draws_that_are_kept_for_their_token_would_not_be_exact() -> None:
    """A room for one node and two draws: to keep the second where it met the first is to choose by token."""
    drafters = [Table(3, seed=9)] * 2
    assert merged_distance((1, 1), drafters, "iid", (1, 1), naive=True) > 0.03


# What is told


def test_judged_draws_tell_the_golden_figures() -> None:
    """With replacement: 1 - residual mass is the chance that one so far is accepted, 0.65, then 0.770."""
    tree = DraftTree((2, 3), (-1, -1), None, Draws(Q[None], (0, 0), "iid"))
    for seed in range(200):
        verdict = Rejection(has_detail=True).verify(tree, Rows(P.expand(3, 4)), Noise(seed), 5)
        first, *others = verdict.judged
        assert (first.node, first.overlap, first.ratio, first.residual_mass) == pytest.approx((0, 0.65, 0.375, 0.35))
        assert first.draw is not None
        assert (verdict.path == (0,)) == (first.draw < 0.375) == (not others)
        if others:
            (second,) = others
            assert (second.node, second.overlap, second.ratio) == pytest.approx((1, 0.342857, 0.0), abs=1e-6)
            assert second.residual_mass == pytest.approx(1 - 0.770, abs=1e-3)


def test_every_examined_draw_is_told_in_order_and_nothing_without_detail() -> None:
    paths, rows = [[0, 2], [0, 3], [1]], torch.stack([P, Q])
    tree = DraftTree.merged(paths, draws=(rows, [[0, 1], [0, 1], [0]], "iid"))
    seen = set()
    for seed in range(100):
        told = Rejection(has_detail=True).verify(tree, Rows(P.expand(5, 4)), Noise(seed), 5)
        silent = Rejection().verify(tree, Rows(P.expand(5, 4)), Noise(seed), 5)
        assert silent.judged == ()
        assert (silent.path, silent.next_token) == (told.path, told.next_token)
        # Drawn from the target itself, the first is accepted; below it, both have the row Q.
        assert told.path[0] == 0
        assert [judged.node for judged in told.judged] in ([0, 1], [0, 1, 2])
        seen.add(len(told.judged))
    assert seen == {2, 3}


def test_a_node_that_was_drawn_twice_is_judged_twice() -> None:
    tree = DraftTree.merged([[3], [3]], draws=(Q[None], [[0], [0]], "iid"))
    assert len(tree) == 1
    nodes = set()
    for seed in range(50):
        verdict = Rejection(has_detail=True).verify(tree, Rows(P.expand(2, 4)), Noise(seed), 5)
        nodes.add(tuple(judged.node for judged in verdict.judged))
        assert [judged.ratio for judged in verdict.judged[1:]] == [0.0] * (len(verdict.judged) - 1)
    assert nodes == {(0,), (0, 0)}
