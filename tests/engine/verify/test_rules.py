"""Verification rules: exact laws by enumeration, golden vectors, and the real code path by sampling.

For the exact laws the coins of a rule are replaced by a `Coins` object that walks through every
outcome with its probability, so that the law of the emitted tokens comes out without sampling error.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Rows, Table, assert_fits, trees

from engine import verify
from engine.config import GenerationConfig
from engine.draws import Draws
from engine.errors import RunFailed, UnknownName
from engine.noise import Noise
from engine.sampling import warp
from engine.tree import EMPTY_TREE, DraftTree, chain
from engine.verify import Rule, Verdict
from engine.verify.base import match
from engine.verify.greedy import Greedy
from engine.verify.node_sampling import NodeSampling
from engine.verify.rejection import Rejection, examine, residual_of

P = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
Q = torch.tensor([0.2, 0.25, 0.4, 0.15], dtype=torch.float64)
Law = dict[tuple[int, ...], float]


class Coins:
    """Follows a script of outcomes, then takes the first possible one; notes where it could have gone."""

    def __init__(self, script: Sequence[int]) -> None:
        self.script = list(script)
        self.weight = 1.0
        self.taken: list[int] = []
        self.others: list[list[int]] = []

    def choose(self, weights: Sequence[float]) -> int:
        possible = [i for i, weight in enumerate(weights) if weight > 0]
        place = len(self.taken)
        outcome = self.script[place] if place < len(self.script) else possible[0]
        if place >= len(self.script):
            self.others += [[*self.taken, other] for other in possible[1:]]
        self.taken.append(outcome)
        self.weight *= weights[outcome]
        return outcome


def outcomes(procedure: Callable[[Coins], Any]) -> Iterator[tuple[float, Any]]:
    """Every outcome of a random procedure, with its probability."""
    scripts: list[list[int]] = [[]]
    while scripts:
        coins = Coins(scripts.pop())
        found = procedure(coins)
        scripts += coins.others
        yield coins.weight, found


class Uniform:
    """A number uniform on (0, 1) that decides each comparison both ways."""

    def __init__(self, coins: Coins, scale: float = 1.0) -> None:
        self.coins, self.scale = coins, scale

    def __mul__(self, factor: float) -> Uniform:
        return Uniform(self.coins, self.scale * factor)

    def __lt__(self, bound: float) -> bool:
        share = min(1.0, bound / self.scale) if self.scale > 0 else float(bound > 0)
        return self.coins.choose([share, 1 - share]) == 0


class CoinNoise:
    """Noise whose every draw is a coin."""

    def __init__(self, coins: Coins) -> None:
        self.coins = coins

    def draw(self, weights: torch.Tensor, place: int, stream: str = "target") -> int:
        return self.coins.choose((weights / weights.sum()).tolist())

    def uniforms(self, place: int, stream: str) -> Iterator[Uniform]:
        return itertools.repeat(Uniform(self.coins))


def toss(rule: Rule, tree: DraftTree, probs: torch.Tensor, coins: Coins) -> Verdict:
    """`verify` of a rule with its coins taken from a `Coins` object."""
    return rule.verify(tree, Rows(probs), cast(Noise, CoinNoise(coins)), 10)


def each(rows: torch.Tensor) -> Draws:
    """Draws with a row each."""
    return Draws(rows, tuple(range(len(rows))))


def drawn_tree(parents: Sequence[int], drafter: Table, coins: Coins, *, is_replaced: bool) -> DraftTree:
    """A tree of this shape whose tokens are drawn; siblings with or without replacement, each with its own law."""
    tokens: list[int] = []
    rows: list[torch.Tensor] = []
    shape = DraftTree((0,) * len(parents), tuple(parents))
    for node, parent in enumerate(parents):
        row = drafter.probs([tokens[i] for i in shape.path_to(parent)]).clone()
        if not is_replaced:
            row[[tokens[i] for i in range(node) if parents[i] == parent]] = 0
        row /= row.sum()
        tokens.append(coins.choose(row.tolist()))
        rows.append(row)
    return DraftTree(tuple(tokens), tuple(parents), None, each(torch.stack(rows)) if rows else None)


def rows_of(tree: DraftTree, target: Table) -> torch.Tensor:
    paths = [[], *([tree.tokens[i] for i in tree.path_to(node)] for node in range(len(tree)))]
    return torch.stack([target.probs(path) for path in paths])


def tokens_of(tree: DraftTree, verdict: Verdict) -> tuple[int, ...]:
    return (*(tree.tokens[node] for node in verdict.path), verdict.next_token)


def law_of(emit: Callable[[Coins], tuple[int, ...]], target: Table, length: int) -> Law:
    """The joint law of the first `length` tokens when plain decoding goes on after one step."""
    shares: Law = defaultdict(float)
    for weight, tokens in outcomes(emit):
        shares[tokens] += weight
    law: Law = defaultdict(float)
    while shares:
        tokens, weight = shares.popitem()
        if len(tokens) >= length:
            law[tokens[:length]] += weight
            continue
        for token, prob in enumerate(target.probs(tokens).tolist()):
            shares[(*tokens, token)] = shares.get((*tokens, token), 0.0) + weight * prob
    return law


def distance(law: Law, target: Table, length: int) -> float:
    """Total variation between a law and the target's own."""
    total = 0.0
    for tokens in itertools.product(range(target.vocab_size), repeat=length):
        truth = 1.0
        for place, token in enumerate(tokens):
            truth *= target.probs(tokens[:place])[token].item()
        total += abs(truth - law.get(tokens, 0.0)) / 2
    return total


SHAPES = {
    "no draft": (),
    "one node": (-1,),
    "chain of 2": (-1, 0),
    "chain of 3": (-1, 0, 1),
    "two siblings": (-1, -1),
    "two levels": (-1, -1, 0, 1),
    "three siblings with a child": (-1, -1, -1, 1),
}


@pytest.mark.parametrize("is_replaced", [True, False], ids=["with replacement", "without replacement"])
@pytest.mark.parametrize("shape", SHAPES)
def test_rejection_emits_the_targets_joint_law(shape: str, is_replaced: bool) -> None:
    target, drafter = Table(3, seed=1), Table(3, seed=2)

    def emit(coins: Coins) -> tuple[int, ...]:
        tree = drawn_tree(SHAPES[shape], drafter, coins, is_replaced=is_replaced)
        return tokens_of(tree, toss(Rejection(), tree, rows_of(tree, target), coins))

    length = DraftTree((0,) * len(SHAPES[shape]), SHAPES[shape]).depth + 2
    assert distance(law_of(emit, target, length), target, length) < 1e-9


@pytest.mark.parametrize("sharpness", [0.0, 8.0], ids=["drafter knows nothing", "drafter is sure"])
def test_rejection_is_exact_for_extreme_drafters(sharpness: float) -> None:
    target, drafter = Table(3, seed=5, sharpness=4.0), Table(3, seed=6, sharpness=sharpness)

    def emit(coins: Coins) -> tuple[int, ...]:
        tree = drawn_tree((-1, 0), drafter, coins, is_replaced=True)
        return tokens_of(tree, toss(Rejection(), tree, rows_of(tree, target), coins))

    assert distance(law_of(emit, target, 4), target, 4) < 1e-9


@pytest.mark.parametrize("shape", SHAPES)
def test_node_sampling_emits_the_targets_joint_law_for_any_tokens(shape: str) -> None:
    target = Table(3, seed=1)
    parents = SHAPES[shape]
    for tokens in itertools.product(range(3), repeat=len(parents)):
        tree = DraftTree(tokens, parents)

        def emit(coins: Coins, tree: DraftTree = tree) -> tuple[int, ...]:
            return tokens_of(tree, toss(NodeSampling(), tree, rows_of(tree, target), coins))

        assert distance(law_of(emit, target, 3), target, 3) < 1e-9


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.lists(st.integers(-1, 3), max_size=4), st.booleans())
def test_rejection_is_exact_for_any_small_tree(seed: int, wanted: list[int], is_replaced: bool) -> None:
    parents = tuple(min(parent, node - 1) for node, parent in enumerate(wanted))
    target, drafter = Table(2, seed), Table(2, seed + 1)
    siblings = max((parents.count(parent) for parent in parents), default=0)
    is_replaced = is_replaced or siblings > 2

    def emit(coins: Coins) -> tuple[int, ...]:
        tree = drawn_tree(parents, drafter, coins, is_replaced=is_replaced)
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
        tree = drawn_tree((-1,) * num_siblings, SameRow(Q), coins, is_replaced=is_replaced)
        return bool(toss(Rejection(), tree, rows_of(tree, SameRow(P)), coins).path)

    found = sum(weight for weight, accepted in outcomes(is_accepted) if accepted)
    assert found == pytest.approx(wanted, abs=6e-4 if is_replaced else 1e-6)


@pytest.mark.parametrize(("depth", "wanted"), [(2, 1.0725), (3, 1.347125), (4, 1.525631)])
def test_a_chain_has_the_golden_expected_accepted_length(depth: int, wanted: float) -> None:
    def accepted(coins: Coins) -> int:
        tree = drawn_tree(range(-1, depth - 1), SameRow(Q), coins, is_replaced=True)
        return len(toss(Rejection(), tree, rows_of(tree, SameRow(P)), coins).path)

    found = sum(weight * length for weight, length in outcomes(accepted))
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("num_siblings", "wanted"), [(1, 0.15), (2, 0.45), (3, 0.95)])
def test_node_sampling_accepts_top_candidates_with_the_golden_probability(num_siblings: int, wanted: float) -> None:
    tokens = tuple(Q.argsort(descending=True)[:num_siblings].tolist())
    tree = DraftTree(tokens, (-1,) * num_siblings)
    law = outcomes(lambda coins: toss(NodeSampling(), tree, P.expand(num_siblings + 1, 4), coins).path)
    assert sum(weight for weight, path in law if path) == pytest.approx(wanted)


def test_shared_noise_makes_drafter_and_target_agree_as_often_as_the_golden_figure() -> None:
    num_draws = 10_000
    waits = Noise(1).of(range(num_draws), torch.arange(4))
    agreed = int(((P / waits).argmax(dim=1) == (Q / waits).argmax(dim=1)).sum())
    assert agreed / num_draws == pytest.approx(0.604548, abs=5 * (0.24 / num_draws) ** 0.5)


# The real code path


@pytest.mark.parametrize("rule", ["rejection", "node_sampling"])
def test_sampled_frequencies_of_the_real_code_fit_the_targets_joint_law(rule: str) -> None:
    target, drafter = Table(3, seed=1), Table(3, seed=2)
    counts = torch.zeros(3, 3, 3)
    for seed in range(3000):
        noise = Noise(seed)
        tokens: list[int] = []
        rows: list[torch.Tensor] = []
        for depth in range(2):
            rows.append(drafter.probs(tokens))
            tokens.append(noise.draw(rows[-1], 10 + depth, "draft"))
        tree = chain(tokens, None, torch.stack(rows))
        emitted = list(tokens_of(tree, verify.get(rule)().verify(tree, Rows(rows_of(tree, target)), noise, 10)))
        while len(emitted) < 3:
            emitted.append(noise.draw(target.probs(emitted), 10 + len(emitted)))
        counts[tuple(emitted)] += 1
    truth = [
        target.probs(())[a] * target.probs((a,))[b] * target.probs((a, b))[c]
        for a, b, c in itertools.product(range(3), repeat=3)
    ]
    assert_fits(counts, torch.stack(truth))


# Degenerate cases, paths and kinds


def one_hot(*tokens: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(tokens), 4).float()


@pytest.mark.parametrize("seed", range(20))
def test_a_chain_drawn_from_the_target_itself_is_accepted_whole(seed: int) -> None:
    tree = chain([1, 0, 2], None, P.expand(3, 4))
    verdict = Rejection().verify(tree, Rows(P.expand(4, 4)), Noise(seed), 5)
    assert verdict.path == (0, 1, 2)
    assert verdict.next_origin == "bonus"


@pytest.mark.parametrize("seed", range(20))
def test_a_token_that_only_the_drafter_knows_is_never_emitted(seed: int) -> None:
    target = torch.tensor([0.5, 0.5, 0.0, 0.0]).expand(3, 4)
    drafter = torch.tensor([0.0, 0.0, 0.5, 0.5]).expand(2, 4)
    for rule in (Rejection(), NodeSampling()):
        verdict = rule.verify(DraftTree((2, 3), (-1, -1), None, each(drafter)), Rows(target), Noise(seed), 5)
        assert verdict.path == ()
        assert verdict.next_token in (0, 1)


def test_a_vocabulary_of_one_token_accepts_everything() -> None:
    probs = torch.ones(3, 1)
    tree = chain([0, 0], None, torch.ones(2, 1))
    for name in verify.names():
        assert verify.get(name)().verify(tree, Rows(probs), Noise(0), 5) == Verdict((0, 1), 0, "bonus")


@given(trees(vocab_size=4), st.data())
def test_rules_agree_where_the_target_is_certain(tree: DraftTree, data: st.DataObject) -> None:
    probs = one_hot(*[data.draw(st.integers(0, 3)) for _ in range(len(tree) + 1)])
    greedy = Greedy().verify(tree, Rows(probs), Noise(0), 5)
    assert NodeSampling().verify(tree, Rows(probs), Noise(0), 5) == greedy
    assert list(greedy.path) == list(tree.path_to(greedy.path[-1] if greedy.path else -1))
    for parent, node in zip((-1, *greedy.path), greedy.path, strict=False):
        assert tree.tokens[node] == probs[parent + 1].argmax()
    assert match(tree, greedy.path[-1] if greedy.path else -1, greedy.next_token) is None


@given(trees(vocab_size=4), st.integers(0, 2**20))
def test_greedy_decides_on_scores_as_on_the_distributions_that_they_give(tree: DraftTree, seed: int) -> None:
    """Ties included: scores are whole numbers."""
    scores = torch.randint(0, 3, (len(tree) + 1, 4), generator=torch.Generator().manual_seed(seed)).float()
    greedy, probs = Greedy(), warp(scores, GenerationConfig())
    assert greedy.verify(tree, Rows(scores), Noise(0), 5) == greedy.verify(tree, Rows(probs), Noise(0), 5)


CASES = {
    "no draft": (EMPTY_TREE, (2,), Verdict((), 2, "plain")),
    "rejected at once": (chain([1, 2]), (3, 0, 0), Verdict((), 3, "correction")),
    "rejected on the way": (chain([1, 2]), (1, 3, 0), Verdict((0,), 3, "correction")),
    "accepted to the leaf": (chain([1, 2]), (1, 2, 0), Verdict((0, 1), 0, "bonus")),
    "second sibling": (DraftTree((1, 2, 3), (-1, -1, 1)), (2, 0, 3, 1), Verdict((1, 2), 1, "bonus")),
    "leaf beside a longer branch": (DraftTree((1, 2, 3), (-1, -1, 0)), (2, 0, 3, 0), Verdict((1,), 3, "bonus")),
    "doubled siblings": (DraftTree((1, 1, 2), (-1, -1, 1)), (1, 2, 2, 0), Verdict((0,), 2, "bonus")),
}


@pytest.mark.parametrize("rule", ["greedy", "node_sampling", "rejection"])
@pytest.mark.parametrize("case", CASES)
def test_path_and_kind_of_the_next_token(case: str, rule: str) -> None:
    tree, likeliest, wanted = CASES[case]
    sampled = DraftTree(tree.tokens, tree.parents, None, each(one_hot(*tree.tokens)) if tree else None)
    assert verify.get(rule)().verify(sampled, Rows(one_hot(*likeliest)), Noise(0), 5) == wanted


@pytest.mark.parametrize("rule", ["greedy", "node_sampling", "rejection"])
def test_token_zero_is_no_padding_that_could_be_accepted(rule: str) -> None:
    tree = DraftTree((0, 1, 0), (-1, -1, 0), None, each(one_hot(0, 1, 0)))
    assert verify.get(rule)().verify(tree, Rows(one_hot(0, 0, 0, 0)), Noise(0), 5) == Verdict((0, 2), 0, "bonus")


def test_rejection_refuses_a_tree_that_does_not_say_what_it_was_drawn_from() -> None:
    with pytest.raises(RunFailed, match="drawn from"):
        Rejection().verify(chain([1]), Rows(P.expand(2, 4)), Noise(0), 5)


def test_an_unknown_rule_names_the_ones_that_exist() -> None:
    with pytest.raises(UnknownName, match="greedy, node_sampling, rejection"):
        verify.get("coin")


@given(trees(vocab_size=3), st.integers(0, 2**20))
@pytest.mark.parametrize("rule", ["greedy", "node_sampling"])
def test_only_the_rows_of_the_path_are_asked_for(rule: str, tree: DraftTree, seed: int) -> None:
    """Each costs its making, and a tree has many."""
    probs = torch.rand(len(tree) + 1, 3, generator=torch.Generator().manual_seed(seed))
    rows = Rows(probs / probs.sum(dim=1, keepdim=True))
    verdict = verify.get(rule)().verify(tree, rows, Noise(seed), 5)
    assert rows.asked == {0, *(node + 1 for node in verdict.path)}


def test_each_rule_says_what_it_needs_and_what_it_keeps() -> None:
    told = {}
    for name in verify.names():
        rule = verify.get(name)
        assert rule.name == name
        told[name] = rule.draft_mode, rule.needs_temperature, rule.guarantee, rule.is_reproducible
    assert told == {
        "greedy": ("likeliest", "zero", "exact", True),
        "node_sampling": ("coupled", None, "exact", True),
        "rejection": ("drawn", "above zero", "exact", False),
        "typical": ("coupled", "above zero", "lossy", True),
    }


def test_one_rule_is_the_default_at_each_temperature_and_writes_one_text_a_seed() -> None:
    defaults = verify.default("zero"), verify.default("above zero")
    assert [rule.name for rule in defaults] == ["greedy", "node_sampling"]
    for rule in defaults:
        assert rule.is_reproducible
        assert rule.guarantee == "exact"
