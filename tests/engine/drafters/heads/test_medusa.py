"""Medusa: published heads, static tree, two guarantees (arXiv 2401.10774)."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from toys import VOCAB_SIZE, Rows, ScriptedDrafter, create, greedy_text, output_ids, prompt_ids, random_trees

from engine import drafters, verify
from engine.config import GenerationConfig
from engine.drafters import shapes
from engine.drafters.base import Context, Room
from engine.drafters.heads._trees import LEAST_SHARE
from engine.drafters.heads.medusa.method import Medusa, default_shape
from engine.errors import BadInput
from engine.events import SessionStarted, Stepped
from engine.loop import generate
from engine.noise import Noise
from engine.target import Target
from engine.tree import EMPTY_TREE, DraftTree

WIDTH = 64


def checkpoint(
    folder: Path, num_heads: int = 5, num_layers: int = 1, *, has_outputs: bool = True, said: int = 2
) -> dict[str, Tensor]:
    """A folder named as the released Vicuna heads are, whose config says 2 heads where the file holds 5."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for head in range(num_heads):
        for block in range(num_layers):
            tensors[f"{head}.{block}.linear.weight"] = torch.randn(WIDTH, WIDTH, generator=generator) / 8
            tensors[f"{head}.{block}.linear.bias"] = torch.randn(WIDTH, generator=generator) / 8
        if has_outputs:
            tensors[f"{head}.{num_layers}.weight"] = torch.randn(VOCAB_SIZE, WIDTH, generator=generator)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "medusa_lm_head.safetensors")
    config = {"medusa_num_heads": said, "medusa_num_layers": num_layers, "base_model_name_or_path": "lmsys/vicuna"}
    (folder / "config.json").write_text(json.dumps(config))
    return tensors


def medusa(target: Target, folder: Path, **options: Any) -> Medusa:
    drafter = drafters.create("medusa", {"weights": str(folder), "budget": 64, **options}, target)
    assert isinstance(drafter, Medusa)
    return drafter


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("has_outputs", [True, False], ids=["own output", "the target's output"])
def test_published_heads_give_the_scores_of_an_independent_implementation(
    num_layers: int, has_outputs: bool, llama: Target, tmp_path: Path
) -> None:
    tensors = checkpoint(tmp_path / "w", num_layers=num_layers, has_outputs=has_outputs)
    drafter = medusa(llama, tmp_path / "w")
    hidden = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(1))
    scores = drafter.heads.scores(hidden)
    assert scores.shape == (5, VOCAB_SIZE)
    target_output = llama.loaded.model.get_output_embeddings().weight
    for head in range(5):
        y = hidden[0].double().numpy()
        for block in range(num_layers):
            z = tensors[f"{head}.{block}.linear.weight"].double().numpy() @ y
            z = z + tensors[f"{head}.{block}.linear.bias"].double().numpy()
            y = y + z / (1 + np.exp(-z))
        output = tensors[f"{head}.{num_layers}.weight"] if has_outputs else target_output
        np.testing.assert_allclose(scores[head].numpy(), output.double().numpy() @ y, rtol=1e-3, atol=1e-4)
    # Where the output layer is the target's, what drafts is compiled.
    tokens, log_probs = drafter.heads.likeliest(hidden, 7)
    best = scores.log_softmax(dim=1).topk(7, dim=1)
    assert tokens.tolist() == best.indices.tolist()
    np.testing.assert_allclose(log_probs, best.values.numpy(), atol=1e-4)


def test_the_file_says_how_many_heads_there_are(llama: Target, tmp_path: Path) -> None:
    checkpoint(tmp_path / "w", num_heads=5, said=2)
    assert medusa(llama, tmp_path / "w").heads.num_heads == 5


def test_a_tree_deeper_than_there_are_heads_is_cut(llama: Target, tmp_path: Path) -> None:
    checkpoint(tmp_path / "w", num_heads=2)
    assert default_shape(5).depth > 2
    (tmp_path / "w" / "shape.json").write_text(json.dumps(default_shape(5).rows()))
    drafter = medusa(llama, tmp_path / "w")
    assert drafter.shape.depth == 2
    events = list(generate(llama, drafter, prompt_ids(8), GenerationConfig(max_new_tokens=12)))
    assert output_ids(events) == greedy_text(llama, prompt_ids(8), 12)[8:]


def trees(events: list[Any]) -> list[DraftTree]:
    steps = [event for event in events if isinstance(event, Stepped) and event.nodes]
    return [DraftTree(tuple(n.token_id for n in s.nodes), tuple(n.parent for n in s.nodes)) for s in steps]


def test_parents_of_one_depth_share_their_childrens_lists(llama: Target) -> None:
    """Node (r1, …, rd) holds the token of rank rd of head d, whatever stands before it."""
    drafter = create("medusa", llama, budget=40, tree="static")
    assert isinstance(drafter, Medusa)
    events = list(generate(llama, drafter, prompt_ids(9), GenerationConfig(max_new_tokens=30)))
    tree = trees(events)[0]
    shape = drafter.shape
    by_rank: dict[tuple[int, int], set[int]] = {}
    for token, path in zip(tree.tokens, shape.paths[: len(tree)], strict=True):
        by_rank.setdefault((len(path), path[-1]), set()).add(token)
    assert all(len(tokens) == 1 for tokens in by_rank.values())
    assert len(tree) == 40
    assert tree.depth > 1
    assert len(tree.children[0]) > 1


def test_the_likeliest_tree_has_the_highest_products_of_the_heads_probabilities(llama: Target, tmp_path: Path) -> None:
    checkpoint(tmp_path / "w", num_heads=3)
    drafter = medusa(llama, tmp_path / "w", tree="likeliest", budget=9)
    context = Context(prompt_ids(5), GenerationConfig(), Noise(0))
    target_hidden = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(3))
    context.prompt_hidden = (target_hidden,)
    drafter.start(context)
    tree = drafter.propose(context, Room(64))
    tokens, log_probs = drafter.heads.likeliest(target_hidden, VOCAB_SIZE)
    products = [
        math.prod(math.exp(log_probs[head, rank]) for head, rank in enumerate(ranks))
        for depth in (1, 2, 3)
        for ranks in itertools.product(range(6), repeat=depth)
    ]
    assert tree.draft_probs is not None
    found = [math.prod(tree.draft_probs[i] for i in tree.path_to(node)) for node in range(len(tree))]
    assert found == pytest.approx([p for p in sorted(products, reverse=True)[:9] if p >= LEAST_SHARE])
    assert len(found) > 2
    assert all(token in tokens[depth - 1] for token, depth in zip(tree.tokens, tree.depths, strict=True))


def test_the_measured_tree_is_drafted_where_there_is_one(llama: Target, tmp_path: Path) -> None:
    checkpoint(tmp_path / "w")
    shape = shapes.Shape(((0,), (1,), (0, 0), (0, 2)), (0.6, 0.2, 0.4, 0.1))
    (tmp_path / "w" / "shape.json").write_text(json.dumps(shape.rows()))
    assert medusa(llama, tmp_path / "w").shape.paths == shape.paths
    assert medusa(llama, tmp_path / "w", budget=2).shape.paths == ((0,), (1,))
    assert medusa(llama, tmp_path / "w", depth=1).shape.paths == ((0,), (1,))
    assert medusa(llama, tmp_path / "w", top_k=1).shape.paths == ((0,), (0, 0))


def test_broken_heads_are_refused(llama: Target, tmp_path: Path) -> None:
    tensors = checkpoint(tmp_path / "w")
    path = tmp_path / "w" / "medusa_lm_head.safetensors"
    for spoil, said in (
        ({name: t for name, t in tensors.items() if name != "3.0.linear.bias"}, r"3\.0\.linear\.bias"),
        ({**tensors, "2.1.weight": torch.zeros(VOCAB_SIZE, 7)}, r"2\.1\.weight"),
        ({"other": torch.zeros(1)}, "no Medusa head"),
    ):
        save_file(spoil, path)
        with pytest.raises(BadInput, match=said):
            medusa(llama, tmp_path / "w")


# Typical acceptance, the lossy rule


def test_typical_acceptance_follows_its_threshold() -> None:
    """Entropy of a fair coin: exp(-H) = 1/2, and min(0.09, 0.3 / 2) = 0.09; of the sure one: min(0.09, 0.3)."""
    rule = verify.get("typical")()
    tree = DraftTree((0, 1, 2, 0), (-1, -1, -1, 1))
    probs = torch.tensor(
        [[0.50, 0.42, 0.08, 0.0], [1.0, 0, 0, 0], [0.10, 0.90, 0, 0], [0.25] * 4, [0, 0, 0, 1.0]], dtype=torch.float32
    )
    verdict = rule.verify(tree, Rows(probs), Noise(0), 0)
    assert verdict.path == (1, 3), "the longest plausible path, though its first token is not the likeliest"
    assert verdict.next_token == 3
    assert verdict.next_origin == "bonus"
    probs[2] = torch.tensor([0.08, 0.92, 0, 0])
    assert rule.verify(tree, Rows(probs), Noise(0), 0).path == (0,), "of two as long the likelier"


def test_the_threshold_falls_with_entropy() -> None:
    """Over 100 equal tokens exp(-H) = 0.01: each has 0.01 and passes 0.003."""
    rule = verify.get("typical")()
    assert rule.verify(DraftTree((7,), (-1,)), Rows(torch.full((2, 100), 0.01)), Noise(0), 0).path == (0,)


def test_without_a_draft_typical_acceptance_is_plain_sampling(llama: Target) -> None:
    nobody = ScriptedDrafter(lambda context, budget: EMPTY_TREE)
    config = GenerationConfig(max_new_tokens=16, temperature=0.8, seed=2, rule="typical")
    found = output_ids(generate(llama, nobody, prompt_ids(5), config))
    assert found == greedy_text(llama, prompt_ids(5), 16, temperature=0.8, seed=2)[5:]


def test_typical_acceptance_is_labelled_lossy_and_is(llama: Target) -> None:
    config = GenerationConfig(max_new_tokens=24, temperature=1.5, seed=2, rule="typical")
    drafter = ScriptedDrafter(random_trees(VOCAB_SIZE, num_nodes=60))
    drafter.check = lambda config: None  # type: ignore[method-assign]
    events = list(generate(llama, drafter, prompt_ids(5), config))
    assert isinstance(events[0], SessionStarted)
    assert events[0].guarantee == "lossy"
    assert output_ids(events) != greedy_text(llama, prompt_ids(5), 24, temperature=1.5, seed=2)[5:]


def test_typical_acceptance_needs_a_temperature() -> None:
    with pytest.raises(BadInput, match="typical needs a temperature above 0"):
        GenerationConfig(rule="typical")
