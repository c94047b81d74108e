"""Lossy rules that forgive: what they let pass, that plain sampling stays plain, and that they are called lossy."""

from __future__ import annotations

import pytest
import torch
from coins import P, outcomes, toss
from hypothesis import given
from hypothesis import strategies as st
from toys import Rows, trees

from engine import verify
from engine.noise import Noise
from engine.tree import EMPTY_TREE, DraftTree
from engine.verify.node_sampling import NodeSampling

RULES = ("above_threshold", "among_top")
ROWS = torch.tensor([[0.45, 0.31, 0.14, 0.1, 0.0]])


def acceptance(rule: str, *tokens: int) -> dict[int | None, float]:
    """How often each child of the root survives, by its token; None where none does."""
    tree = DraftTree(tokens, (-1,) * len(tokens))
    found: dict[int | None, float] = {}
    for weight, path in outcomes(lambda coins: toss(verify.get(rule)(), tree, ROWS.expand(9, 5), coins).path):
        token = tree.tokens[path[0]] if path else None
        found[token] = found.get(token, 0) + weight
    return found


def test_a_draft_above_the_threshold_stands_in_for_the_targets_draw() -> None:
    assert acceptance("above_threshold", 1) == pytest.approx({1: 1.0})
    assert acceptance("above_threshold", 2) == pytest.approx({2: 0.14, None: 0.86})
    assert acceptance("above_threshold", 1, 2) == pytest.approx({1: 0.86, 2: 0.14})
    assert acceptance("above_threshold", 1, 0) == pytest.approx({0: 0.69, 1: 0.31}), "the likelier one stands in"


def test_a_draft_among_the_likeliest_stands_in_for_the_targets_draw() -> None:
    assert acceptance("among_top", 2) == pytest.approx({2: 1.0})
    assert acceptance("among_top", 3) == pytest.approx({3: 0.1, None: 0.9})
    assert acceptance("among_top", 4) == pytest.approx({None: 1.0}), "what cannot be drawn never passes"


@given(trees(vocab_size=4), st.integers(0, 500))
@pytest.mark.parametrize("rule", RULES)
def test_what_node_sampling_accepts_a_lenient_rule_accepts_too(rule: str, tree: DraftTree, seed: int) -> None:
    probs = Rows(torch.rand(len(tree) + 1, 4, generator=torch.Generator().manual_seed(seed)).softmax(dim=1))
    exact = NodeSampling().verify(tree, probs, Noise(seed), 5)
    lenient = verify.get(rule)().verify(tree, probs, Noise(seed), 5)
    assert lenient.path[: len(exact.path)] == exact.path
    assert list(lenient.path) == list(tree.path_to(lenient.path[-1] if lenient.path else -1))


@pytest.mark.parametrize("rule", RULES)
def test_without_a_draft_a_lenient_rule_is_plain_sampling_and_it_says_that_it_is_lossy(rule: str) -> None:
    for seed in range(9):
        plain = NodeSampling().verify(EMPTY_TREE, Rows(P[None]), Noise(seed), 5)
        assert verify.get(rule)().verify(EMPTY_TREE, Rows(P[None]), Noise(seed), 5) == plain
    assert verify.get(rule).guarantee == "lossy"
