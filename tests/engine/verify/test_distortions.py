"""Every known way of getting sampled verification wrong is put in on purpose, and enumeration sees it.

verification.md 2.13. Each procedure is one that released code had, or nearly; the same without its fault is exact to
1e-9 on the same distributions. One pair of distributions can hide a fault, so there are several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from coins import Coins, distance, drawn_tree, law_of, rows_of, tokens_of, toss
from toys import Table

from engine.draws import Draws
from engine.tree import DraftTree, chain
from engine.verify import Rule, block_verification, k_seq, rejection
from engine.verify.block_verification import BlockVerification
from engine.verify.k_seq import KSeq
from engine.verify.node_sampling import NodeSampling
from engine.verify.rejection import Rejection
from engine.verify.with_replacement import WithReplacement

Emit = Callable[[Coins, Table, Table], tuple[int, ...]]
SEEDS = range(5)
PAIR, TWO_LEVELS, CHAIN = (-1, -1), (-1, -1, 0, 0, 1), (-1, 0)


def farthest(emit: Emit, length: int = 3) -> float:
    """The largest total variation between what is emitted and the target's law, over some pairs of tables."""

    def off(seed: int) -> float:
        target, drafter = Table(3, seed), Table(3, seed + 100)
        return distance(law_of(lambda coins: emit(coins, target, drafter), target, length), target, length)

    return max(map(off, SEEDS))


def run(rule: Rule, tree: DraftTree, target: Table, coins: Coins) -> tuple[int, ...]:
    return tokens_of(tree, toss(rule, tree, rows_of(tree, target), coins))


def sampled(rule: Rule, parents: Sequence[int], scheme: Any, *, is_replaced: bool) -> Emit:
    """The honest procedure."""
    return lambda coins, target, drafter: run(
        rule, drawn_tree(parents, drafter, coins, scheme, is_replaced=is_replaced), target, coins
    )


def top_as_if_drawn(coins: Coins, target: Table, drafter: Table) -> tuple[int, ...]:
    """The two likeliest tokens, said to be draws without replacement."""
    law = drafter.probs(())
    tokens = tuple(law.topk(2).indices.tolist())
    return run(
        Rejection(), DraftTree(tokens, PAIR, None, Draws(law[None], (0, 0), "without_replacement")), target, coins
    )


def drawn_from_less_than_it_says(coins: Coins, target: Table, drafter: Table) -> tuple[int, ...]:
    """Drawn behind top-k, judged by the whole distribution."""
    law = drafter.probs(())
    kept = torch.where(law >= law.topk(2).values[-1], law, 0.0)
    token = coins.choose((kept / kept.sum()).tolist())
    return run(Rejection(), chain([token], None, law[None]), target, coins)


def not_told_of_what_was_taken_out(coins: Coins, target: Table, drafter: Table) -> tuple[int, ...]:
    tree = drawn_tree(PAIR, drafter, coins, "without_replacement", is_replaced=False)
    assert tree.draws is not None
    lying = DraftTree(tree.tokens, tree.parents, None, Draws(tree.draws.rows, tree.draws.row_of, "iid"))
    return run(Rejection(), lying, target, coins)


def likeliest_sibling_first(coins: Coins, target: Table, drafter: Table) -> tuple[int, ...]:
    tree = drawn_tree(PAIR, drafter, coins, "without_replacement", is_replaced=False)
    law = drafter.probs(())
    tokens = tuple(sorted(tree.tokens, key=lambda token: -law[token]))
    return run(
        Rejection(), DraftTree(tokens, PAIR, None, Draws(law[None], (0, 0), "without_replacement")), target, coins
    )


def pruned_by_what_was_drawn(rule: Rule, coins: Coins, target: Table, drafter: Table) -> tuple[int, ...]:
    """The node of least draft probability is dropped behind the drawing."""
    tree = drawn_tree((-1, -1, 0), drafter, coins, "without_replacement", is_replaced=False)
    law = drafter.probs(())
    second = drafter.probs([tree.tokens[0]])
    values = {1: law[tree.tokens[1]], 2: law[tree.tokens[0]] * second[tree.tokens[2]]}
    dropped = min(values, key=lambda node: float(values[node]))
    return run(rule, tree.only([node for node in range(3) if node != dropped]), target, coins)


def a_draw_for_each_path(coins: Coins, target: Table, drafter: Table) -> tuple[int, ...]:
    """Each leaf's path has target draws of its own; the longest match is kept."""
    tree = DraftTree((0, 1, 0, 1), (-1, -1, 0, 1))
    found: list[tuple[int, ...]] = []
    for leaf in (2, 3):
        emitted: list[int] = []
        for node in (*tree.path_to(leaf), None):
            emitted.append(coins.choose(target.probs(emitted).tolist()))
            if node is None or emitted[-1] != tree.tokens[node]:
                break
        found.append(tuple(emitted))
    return max(found, key=len)


class FreshCorrection(Rejection):
    """Draws anew from the target where a draft was rejected."""

    def verify(self, *given: Any) -> Any:
        original = rejection.residual_of
        rejection.residual_of = lambda probs, drawn_from: probs
        try:
            return super().verify(*given)
        finally:
            rejection.residual_of = original


HONEST: dict[str, Emit] = {
    "chain": sampled(Rejection(), CHAIN, "iid", is_replaced=True),
    "with replacement": sampled(WithReplacement(), PAIR, "iid", is_replaced=True),
    "without replacement": sampled(Rejection(), TWO_LEVELS, "without_replacement", is_replaced=False),
    "k-SEQ": sampled(KSeq(), PAIR, "iid", is_replaced=True),
    "block": sampled(BlockVerification(), CHAIN, "iid", is_replaced=True),
    "pruned by what was drawn, but judged by the target's own draw": (
        lambda coins, target, drafter: pruned_by_what_was_drawn(NodeSampling(), coins, target, drafter)
    ),
}


@pytest.mark.parametrize("procedure", HONEST)
def test_without_its_fault_each_procedure_is_exact(procedure: str) -> None:
    assert farthest(HONEST[procedure]) < 1e-9


FAULTY: dict[str, Emit] = {
    "likeliest drafts judged as draws": top_as_if_drawn,
    "rejected, then drawn afresh": sampled(FreshCorrection(), CHAIN, "iid", is_replaced=True),
    "drawn from top-k, judged by all": drawn_from_less_than_it_says,
    "without replacement, not told": not_told_of_what_was_taken_out,
    "siblings in the order of their probability": likeliest_sibling_first,
    "a drawn tree pruned by what was drawn": (
        lambda coins, target, drafter: pruned_by_what_was_drawn(Rejection(), coins, target, drafter)
    ),
    "a target draw for each path": a_draw_for_each_path,
}


@pytest.mark.parametrize("fault", FAULTY)
def test_each_known_distortion_is_seen(fault: str) -> None:
    assert farthest(FAULTY[fault]) > 1e-3


def zeroed(probs: torch.Tensor, drawn_from: torch.Tensor) -> torch.Tensor:
    """The candidates are taken out in place of their distribution."""
    taken = torch.where(drawn_from == drawn_from.max(), 0.0, probs)
    return taken / taken.sum()


def test_a_residual_without_the_candidate_in_place_of_its_law_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejection, "residual_of", zeroed)
    assert farthest(HONEST["with replacement"]) > 1e-3


def test_k_seq_at_scale_1_with_its_negative_residual_cut_off_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k_seq, "scale", lambda p, q, num_draws: 1.0)
    assert farthest(HONEST["k-SEQ"]) > 1e-3


def test_a_residual_of_k_seq_that_forgets_how_often_it_tried_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k_seq, "residual_of", lambda p, covered, overlap, num_draws: np.maximum(p - covered, 0))
    assert farthest(HONEST["k-SEQ"]) > 1e-3


@pytest.mark.parametrize("place", [0, 1], ids=["of the first token", "of the second"])
def test_a_row_of_block_verification_that_belongs_to_another_token_is_seen(
    place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = block_verification.held_shares

    def shifted(tokens: tuple[int, ...], probs: torch.Tensor, laws: torch.Tensor) -> list[float]:
        return original(tokens, torch.cat((probs[:place], probs[place + 1 :], probs[-1:])), laws)

    monkeypatch.setattr(block_verification, "held_shares", shifted)
    assert farthest(HONEST["block"]) > 1e-3


def test_parts_of_a_block_that_hold_by_their_shares_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """P_i in place of h_i, so that a part is tried again though a longer one failed."""
    monkeypatch.setattr(block_verification, "holding_chances", lambda shares, left: shares[1:])
    assert farthest(HONEST["block"]) > 1e-3


def test_a_bonus_from_the_unwarped_target_is_seen() -> None:
    """The first tokens by p at temperature 1, the one behind an accepted draft by p at another."""

    def emit(coins: Coins, target: Table, drafter: Table) -> tuple[int, ...]:
        tree = drawn_tree((-1,), drafter, coins, "iid", is_replaced=True)
        rows = rows_of(tree, target)
        rows[-1] = (2 * target.row([tree.tokens[0]])).softmax(dim=0)
        return tokens_of(tree, toss(Rejection(), tree, rows, coins))

    assert farthest(emit) > 1e-3


def test_independent_draws_merged_into_one_node_and_forgotten_are_seen() -> None:
    """Two equal draws are one node; the law of how often it was drawn is not (verification.md 2.0)."""

    def emit(coins: Coins, target: Table, drafter: Table, *, forgets: bool) -> tuple[int, ...]:
        law = drafter.probs(())
        tokens = [coins.choose(law.tolist()) for _ in range(2)]
        kept = list(dict.fromkeys(tokens)) if forgets else tokens
        tree = DraftTree.merged([[t] for t in kept], draws=(law[None], [[0]] * len(kept), "iid"))
        return run(Rejection(), tree, target, coins)

    assert farthest(lambda *given: emit(*given, forgets=True)) > 1e-3
    assert farthest(lambda *given: emit(*given, forgets=False)) < 1e-9
