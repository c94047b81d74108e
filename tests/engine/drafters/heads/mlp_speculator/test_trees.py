"""MLP Speculator's trees of candidates and of nodes."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toys import VOCAB_SIZE, Rows

from engine import drafters, verify
from engine.drafters.heads._levels import best_nodes
from engine.drafters.heads._weights import find_weights
from engine.drafters.heads.mlp_speculator.method import MlpSpeculator, best_candidates
from engine.drafters.heads.mlp_speculator.network import Speculator
from engine.noise import Noise
from engine.target import Target
from engine.tree import DraftTree
from tests.engine.drafters.heads.mlp_speculator.checkpoints import NUM_HEADS, WIDTH, checkpoint


def levels(llama: Target, folder: Path, hidden: Tensor, **options: Any) -> Any:
    drafter = drafters.create("mlp_speculator", {"weights": str(folder), **options}, llama)
    assert isinstance(drafter, MlpSpeculator)
    drafter._state = hidden
    return drafter._levels(root_id=3, depth=4)


def paths(tree: DraftTree) -> set[tuple[int, ...]]:
    return {tuple(tree.tokens[i] for i in tree.path_to(node)) for node in range(len(tree))}


@pytest.fixture
def found(llama: Target, tmp_path: Path) -> Any:
    folder = checkpoint(tmp_path / "w", is_tied=False, is_scaled=False)
    return levels(llama, folder, torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(2)), tree="candidates")


def every_candidate(found: Any) -> list[tuple[float, tuple[int, ...]]]:
    whole = best_candidates(found, 10**6)
    leaves = [path for path in paths(whole) if len(path) == NUM_HEADS]
    value = {}
    for place, total in enumerate(found[-1].values):
        path, at = [], place
        for level in reversed(found):
            path.append(int(level.tokens[at]))
            at = int(level.parents[at])
        value[tuple(reversed(path))] = float(total)
    assert set(value) == set(leaves)
    return sorted(((total, path) for path, total in value.items()), reverse=True)


def test_the_product_of_the_stages_candidates_is_flattened_into_one_tree(found: Any) -> None:
    """[4, 3, 2]: 24 whole branches over 4 + 12 + 24 nodes, no two siblings alike."""
    whole = best_candidates(found, 24)
    assert len(every_candidate(found)) == 24
    assert len(whole) == len(paths(whole)) == 40


def test_more_candidates_are_a_larger_tree(found: Any) -> None:
    ranked = [path for _, path in every_candidate(found)]
    before: set[tuple[int, ...]] = set()
    for number in range(1, 25):
        tree = best_candidates(found, number)
        assert {path for path in paths(tree) if len(path) == NUM_HEADS} == set(ranked[:number])
        assert before <= paths(tree)
        assert len(tree) <= number * NUM_HEADS
        before = paths(tree)


def test_the_merged_tree_accepts_what_the_best_candidate_alone_would(found: Any) -> None:
    """Against the published loop: each candidate compared with the target's tokens, most leading matches win."""
    rule, noise = verify.get("greedy")(), Noise(0)
    for number, seed in itertools.product((1, 5, 24), range(6)):
        tree = best_candidates(found, number)
        generator = torch.Generator().manual_seed(seed)
        # The truth: what the target says after each prefix, mostly one of the prefix's candidates.
        probs = torch.rand(len(tree) + 1, VOCAB_SIZE, generator=generator)
        for node, parent in enumerate(tree.parents):
            probs[parent + 1, tree.tokens[node]] += 0.7
        says = {(): int(probs[0].argmax())}
        says |= {
            tuple(tree.tokens[i] for i in tree.path_to(node)): int(probs[node + 1].argmax())
            for node in range(len(tree))
        }
        candidates = [path for path in paths(tree) if len(path) == NUM_HEADS]
        longest = max(
            next((i for i in range(NUM_HEADS) if says[path[:i]] != path[i]), NUM_HEADS) for path in candidates
        )
        assert len(rule.verify(tree, Rows(probs), noise, 0).path) == longest


def test_the_likeliest_nodes_are_kept_whatever_their_depth(found: Any) -> None:
    values = sorted((float(v) for level in found for v in level.values), reverse=True)
    for number in (1, 7, 40):
        tree = best_nodes(found, number)
        assert tree.draft_probs is not None
        kept = []
        for node in range(len(tree)):
            kept.append(sum(math.log(tree.draft_probs[i]) for i in tree.path_to(node)))
        assert kept == pytest.approx(values[:number])
    assert len(best_nodes(found, 12).children[0]) > 1, "a true tree"


@pytest.mark.parametrize("is_compiled", [True, False], ids=["compiled", "torch"])
def test_only_frequent_tokens_are_drafted_and_all_where_asked(is_compiled: bool, llama: Target, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "w", is_tied=False, is_scaled=False)
    frequent = list(range(40, 20, -2))
    (folder / "vocabulary.json").write_text(json.dumps(frequent))
    weights = find_weights(llama, "mlp_speculator", str(folder))
    hidden = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(2))
    drafted = {}
    for vocabulary in ("frequent", "all"):
        speculator = Speculator(weights, llama.loaded, vocabulary)
        speculator.compiled = speculator.compiled if is_compiled else None
        drafted[vocabulary] = {token for level in speculator.levels(hidden, 7, [10, 3], 4) for token in level.tokens}
    assert drafted["frequent"] == set(frequent)
    assert not drafted["all"] <= set(frequent)


@pytest.mark.parametrize("is_compiled", [True, False], ids=["compiled", "torch"])
def test_stages_that_cannot_add_a_node_are_not_run_and_the_tree_is_the_same(
    is_compiled: bool, llama: Target, tmp_path: Path
) -> None:
    folder = checkpoint(tmp_path / "w", is_tied=True, is_scaled=True)
    speculator = Speculator(find_weights(llama, "mlp_speculator", str(folder)), llama.loaded)
    speculator.compiled = speculator.compiled if is_compiled else None
    num_levels = set()
    for seed in range(5):
        hidden = 4 * torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(seed))
        whole = speculator.levels(hidden, 7, [4, 3, 2], 4)
        for num_nodes in (1, 2, 3, 8, 40):
            some = speculator.levels(hidden, 7, [4, 3, 2], 4, num_nodes)
            found, wanted = best_nodes(some, num_nodes), best_nodes(whole, num_nodes)
            assert (found.tokens, found.parents) == (wanted.tokens, wanted.parents)
            assert found.draft_probs == pytest.approx(wanted.draft_probs, rel=1e-5)
            num_levels.add(len(some))
    assert num_levels == {1, 2, 3}
