"""RSD: its stochastic beams have the law of drawing texts without replacement, its branches the sizes asked for."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from coins import Coins, distance, law_of, outcomes, tokens_of, toss
from hypothesis import given
from hypothesis import strategies as st
from toys import Table, assert_fits

from engine.drafters.base import Room
from engine.drafters.small_models.rsd import at_most, children_of, num_nodes
from engine.draws import Draws
from engine.errors import BadInput
from engine.noise import Noise
from engine.tree import DraftTree
from engine.verify.rejection import Rejection
from tests.engine.drafters.small_models.tables import PROMPT, FromTable

pytestmark = pytest.mark.usefixtures("draft_models")
Q = Table(3, seed=2, sharpness=1.0)


def beams_by_draws(coins: Coins, width: int) -> DraftTree:
    """Two beams of texts of two tokens, which are drawn without replacement: a text's first is its beam's member."""
    first = Q.probs(PROMPT)
    texts = {(a, b): float(first[a] * Q.probs([*PROMPT, a])[b]) for a in range(3) for b in range(3)}
    drawn: list[tuple[int, int]] = []
    while True:
        upper = list(dict.fromkeys(a for a, _ in drawn))[:width]
        lower = [text for text in drawn if text[0] in upper][:width]
        if len(upper) == len(lower) == width:
            break
        left = [text for text in texts if text not in drawn]
        drawn.append(left[coins.choose([texts[text] for text in left])])
        coins.weight /= sum(texts[text] for text in left)
    rows = torch.stack([first, *(Q.probs([*PROMPT, a]) for a in upper)])
    parents = [*[-1] * width, *(upper.index(a) for a, _ in lower)]
    draws = Draws(rows, tuple(parent + 1 for parent in parents), "without_replacement")
    return DraftTree((*upper, *(b for _, b in lower)), tuple(parents), None, draws)


@pytest.mark.parametrize("width", [1, 2])
def test_texts_drawn_without_replacement_and_judged_in_their_order_are_exact(width: int) -> None:
    target = Table(3, seed=1)

    def emit(coins: Coins, *, by_token: bool = False) -> tuple[int, ...]:
        tree = beams_by_draws(coins, width)
        if by_token:
            tree = sorted_by_token(tree)
        rows = [target.probs([tree.tokens[i] for i in tree.path_to(node)]) for node in range(-1, len(tree))]
        return tokens_of(tree, toss(Rejection(), tree, torch.stack(rows), coins))

    assert distance(law_of(emit, target, 3), target, 3) < 1e-9
    if width > 1:
        wrong = law_of(lambda coins: emit(coins, by_token=True), target, 3)
        assert distance(wrong, target, 3) > 1e-3, "in the order of their ids they are not"


def sorted_by_token(tree: DraftTree) -> DraftTree:
    """The same nodes, those of the first level by token."""
    width = tree.parents.count(-1)
    order = [*sorted(range(width), key=tree.tokens.__getitem__), *range(width, len(tree))]
    place = {-1: -1, **{old: new for new, old in enumerate(order)}}
    assert tree.draws is not None
    rows = tuple(tree.draws.row_of[node] for node in order)
    draws = Draws(tree.draws.rows, rows, "without_replacement")
    return DraftTree(
        tuple(tree.tokens[node] for node in order), tuple(place[tree.parents[node]] for node in order), None, draws
    )


def test_the_beams_of_the_real_code_have_that_law() -> None:
    drafter = FromTable("rsd", Q, width=2, depth=2)
    law: Counter[tuple[tuple[int, ...], tuple[int, ...]]] = Counter()
    for weight, tree in outcomes(lambda coins: beams_by_draws(coins, 2)):
        law[tree.tokens, tree.parents] += weight  # type: ignore[assignment]
    assert sum(law.values()) == pytest.approx(1)
    found = [drafter.draft(Noise(seed), Room(9)) for seed in range(1500)]
    counts = Counter((tree.tokens, tree.parents) for tree in found)
    assert set(counts) <= set(law)
    assert_fits(torch.tensor([counts[tree] for tree in law]).double(), torch.tensor([*law.values()]))


@given(st.floats(-30, 3), st.floats(-30, 3), st.floats(0, 60))
def test_scores_are_moved_below_their_parents_and_keep_their_order(bound: float, highest: float, by: float) -> None:
    found = at_most(bound, highest, highest - by)
    assert found <= bound
    assert at_most(bound, highest, highest) == bound
    if 1e-6 < by < 20 and abs(bound - highest) < 20:
        exact = -math.log(math.exp(-bound) - math.exp(-highest) + math.exp(by - highest))
        assert found == pytest.approx(exact, rel=1e-6, abs=1e-6)


def test_branches_are_as_many_as_asked_for_and_beams_as_wide() -> None:
    tree = FromTable("rsd", Table(9, seed=3), shape="branches", branches="3,2,1").draft(Noise(0), Room(64))
    assert [tree.depths.count(depth) for depth in (1, 2, 3)] == [3, 6, 6]
    for width, rooms in ((3, (3, 3, 3)), (1, (1, 1, 1))):
        tree = FromTable("rsd", Table(9, seed=3), width=width, depth=3).draft(Noise(0), Room(64))
        assert tuple(tree.depths.count(depth) for depth in (1, 2, 3)) == rooms
    assert (num_nodes([3, 2, 1], is_beam=False), num_nodes([3, 3], is_beam=True)) == (15, 6)


@pytest.mark.parametrize("given", ["", "0", "2,x", "17", ",".join("1" * 17), "2.5"])
def test_branches_that_cannot_be_read_are_refused(given: str) -> None:
    with pytest.raises(BadInput, match="Option branches"):
        children_of(given)


def test_a_beam_at_top_k_1_is_a_chain() -> None:
    tree = FromTable("rsd", Table(5, seed=3), width=4, depth=3).draft(Noise(0), Room(64), top_k=1)
    assert tree.parents == (-1, 0, 1)
