"""Verification rules: what each needs, which path it keeps and what kind of token follows; the exact law of sampling.

Rejection's laws are in test_rejection.py.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import torch
from coins import SHAPES, Coins, P, Q, distance, each, law_of, outcomes, rows_of, tokens_of, toss
from hypothesis import given
from hypothesis import strategies as st
from toys import Rows, Table, assert_fits, trees

from engine import verify
from engine.config import GenerationConfig
from engine.errors import RunFailed, UnknownName
from engine.noise import Noise
from engine.sampling import warp
from engine.tree import EMPTY_TREE, DraftTree, chain
from engine.verify import Verdict
from engine.verify.base import match
from engine.verify.greedy import Greedy
from engine.verify.node_sampling import NodeSampling
from engine.verify.rejection import Rejection

ROOT = Path(__file__).resolve().parents[3]
OTHER_WORDS = {("engine/training/elements.py", "greedy"), ("engine/training/report.py", "greedy"),
               ("specviz/store/search.py", "greedy")}  # fmt: skip
"""Where a rule's name is a word for something else: greed, and runs at temperature 0."""


@pytest.mark.parametrize("shape", SHAPES)
def test_node_sampling_emits_the_targets_joint_law_for_any_tokens(shape: str) -> None:
    target = Table(3, seed=1)
    parents = SHAPES[shape]
    for tokens in itertools.product(range(3), repeat=len(parents)):
        tree = DraftTree(tokens, parents)

        def emit(coins: Coins, tree: DraftTree = tree) -> tuple[int, ...]:
            return tokens_of(tree, toss(NodeSampling(), tree, rows_of(tree, target), coins))

        assert distance(law_of(emit, target, 3), target, 3) < 1e-9


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


@pytest.mark.parametrize("rule", ["rejection", "node_sampling", "block_verification"])
def test_sampled_frequencies_of_the_real_code_fit_the_targets_joint_law(rule: str) -> None:
    target, drafter = Table(3, seed=1), Table(3, seed=2)
    counts = torch.zeros(3, 3, 3)
    for seed in range(2000):
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


ABOVE_ZERO = [name for name in verify.names() if name != "greedy"]


@pytest.mark.parametrize("tiny", [1e-30, 1e-45])
@pytest.mark.parametrize("rule", ABOVE_ZERO)
def test_probabilities_that_underflow_decide_nothing_wrongly_under_any_rule(rule: str, tiny: float) -> None:
    """The draft is what the target all but rules out, and its own probability is nothing to divide by."""
    certain, drafted = torch.tensor([1.0, tiny, 0.0, 0.0]), torch.tensor([tiny, tiny, 1.0, 0.0])
    for token in (1, 2):
        tree = DraftTree.merged([[token]], draws=(drafted[None], [[0]], "iid"))
        for seed in range(8):
            verdict = verify.get(rule)().verify(tree, Rows(certain.expand(2, 4)), Noise(seed), 5)
            assert [*(tree.tokens[node] for node in verdict.path), verdict.next_token][0] in {0} | {1} & {token}
            assert verdict.next_token == 0


@pytest.mark.parametrize("rule", ABOVE_ZERO)
def test_where_top_k_is_1_every_rule_writes_the_one_token(rule: str) -> None:
    for token in (1, 2):
        tree = DraftTree.merged([[token]], draws=(one_hot(token), [[0]], "iid"))
        verdict = verify.get(rule)().verify(tree, Rows(one_hot(1, 3)), Noise(0), 5)
        assert [*(tree.tokens[node] for node in verdict.path), verdict.next_token] == ([1, 3] if token == 1 else [1])


def test_an_unknown_rule_names_the_ones_that_exist() -> None:
    with pytest.raises(UnknownName, match="greedy, k_seq, likeliest_drafts, node_sampling, rejection"):
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
        "above_threshold": ("coupled", "above zero", "lossy", True),
        "among_top": ("coupled", "above zero", "lossy", True),
        "block_verification": ("drawn", "above zero", "exact", False),
        "greedy": ("likeliest", "zero", "exact", True),
        "k_seq": ("drawn", "above zero", "exact", False),
        "likeliest_drafts": ("likeliest", None, "exact", True),
        "node_sampling": ("coupled", None, "exact", True),
        "rejection": ("drawn", "above zero", "exact", False),
        "typical": ("coupled", "above zero", "lossy", True),
        "with_replacement": ("drawn", "above zero", "exact", False),
    }


def test_rules_that_fit_a_drafter_are_named_by_how_it_can_draw_the_default_first() -> None:
    assert verify.fitting(()) == ("node_sampling", "likeliest_drafts")
    assert verify.fitting(("in_turn",)) == ("node_sampling", "likeliest_drafts", "rejection")
    assert set(verify.fitting(("iid", "chain"))) - set(verify.fitting(())) == {
        "block_verification",
        "k_seq",
        "with_replacement",
    }


def test_without_shared_noise_the_text_is_the_same_and_the_draft_another() -> None:
    assert verify.get("likeliest_drafts").default_at is None
    for seed in range(9):
        tree, rows = DraftTree((0, 1), (-1, -1)), Rows(P.expand(3, 4))
        shared, alone = (verify.get(rule)() for rule in ("node_sampling", "likeliest_drafts"))
        assert shared.verify(tree, rows, Noise(seed), 5) == alone.verify(tree, rows, Noise(seed), 5)


def test_one_rule_is_the_default_at_each_temperature_and_writes_one_text_a_seed() -> None:
    defaults = verify.default("zero"), verify.default("above zero")
    assert [rule.name for rule in defaults] == ["greedy", "node_sampling"]
    for rule in defaults:
        assert rule.is_reproducible
        assert rule.guarantee == "exact"


def test_nobody_else_knows_a_rule_by_its_name() -> None:
    quoted = re.compile(rf"""(["'])({"|".join(verify.names())})\1""")
    found = set()
    for path in (*(ROOT / "engine").rglob("*.py"), *(ROOT / "specviz").rglob("*.py"), ROOT / "app.py"):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("engine/verify/"):
            found |= {(name, word) for _, word in quoted.findall(path.read_text(encoding="utf-8"))}
    assert found == OTHER_WORDS
