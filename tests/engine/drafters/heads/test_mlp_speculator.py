"""MLP Speculator: the published checkpoint's arithmetic, its tree, its state (arXiv 2404.19124)."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor
from toys import VOCAB_SIZE, Rows, build, create, greedy_text, prompt_ids, stock, tiny, write_weights
from toys import loaded as roof

from engine import drafters, verify
from engine.config import GenerationConfig
from engine.drafters.heads._weights import find_weights
from engine.drafters.heads.mlp_speculator.method import MlpSpeculator, best_candidates, best_nodes
from engine.drafters.heads.mlp_speculator.network import Speculator, mixing_ratio
from engine.errors import BadInput
from engine.events import Stepped
from engine.loop import generate
from engine.noise import Noise
from engine.target import Target
from engine.training.mlp_speculator import SpeculatorHeads
from engine.tree import DraftTree

WIDTH, INNER, NUM_HEADS = 64, 24, 3


def checkpoint(folder: Path, *, is_tied: bool, is_scaled: bool, seed: int = 0, **more: Any) -> Path:
    """A small folder as the authors publish theirs."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) / 3

    tensors = {}
    for i in range(1 if is_tied else NUM_HEADS):
        tensors[f"speculator.emb.{i}.weight"] = random(VOCAB_SIZE, INNER)
        tensors[f"speculator.head.{i}.weight"] = random(VOCAB_SIZE, INNER)
        tensors[f"speculator.ln.{i}.weight"] = 1 + random(INNER)
        tensors[f"speculator.ln.{i}.bias"] = random(INNER)
    for i in range(2 if is_tied else NUM_HEADS):
        tensors[f"speculator.proj.{i}.weight"] = random(INNER, INNER if i else WIDTH)
    config = {
        "architectures": ["MLPSpeculatorPreTrainedModel"],
        "model_type": "mlp_speculator",
        "vocab_size": VOCAB_SIZE,
        "emb_dim": WIDTH,
        "inner_dim": INNER,
        "n_predict": NUM_HEADS,
        "top_k_tokens_per_head": [4, 3, 2],
        "n_candidates": 5,
    }
    # Both are absent in the first published configs, and false there.
    config |= {"tie_weights": True} if is_tied else {}
    config |= {"scale_input": True} if is_scaled else {}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**config, **more}))
    return folder


KINDS = [(False, False), (True, True), (False, True), (True, False)]
every_kind = pytest.mark.parametrize(("is_tied", "is_scaled"), KINDS, ids=["plain", "tied-scaled", "scaled", "tied"])


def loaded(target: Target, folder: Path) -> Speculator:
    return Speculator(find_weights(target, "mlp_speculator", str(folder)), target.loaded)


def by_hand(folder: Path, hidden: np.ndarray[Any, Any], tokens: list[int], *, is_tied: bool, is_scaled: bool) -> Any:
    """An implementation of its own, float64: scores of each stage when these tokens are chosen."""
    from safetensors.numpy import load_file

    w = {name: tensor.astype(np.float64) for name, tensor in load_file(folder / "model.safetensors").items()}

    def rms(x: Any) -> Any:
        return x / np.sqrt(np.mean(x * x) + 1e-6)

    state_weight = 0.5 ** (0.5 / NUM_HEADS)
    emb_weight = math.sqrt((1 - state_weight**2) * (INNER / 2))
    state = rms(hidden) / math.sqrt(2) if is_scaled else hidden
    found = []
    for i, token in enumerate(tokens):
        own, proj = (0, min(i, 1)) if is_tied else (i, i)
        mixed = w[f"speculator.proj.{proj}.weight"] @ state
        mixed = mixed + emb_weight / state_weight * w[f"speculator.emb.{own}.weight"][token]
        normed = rms(mixed) * w[f"speculator.ln.{own}.weight"] + w[f"speculator.ln.{own}.bias"]
        state = 0.5 * normed * (1 + np.vectorize(math.erf)(normed / math.sqrt(2)))
        found.append(w[f"speculator.head.{own}.weight"] @ state)
    return np.stack(found)


@every_kind
def test_a_checkpoint_gives_the_scores_of_an_independent_implementation(
    is_tied: bool, is_scaled: bool, llama: Target, tmp_path: Path
) -> None:
    """Also where it is told apart from LayerNorm and from tanh-GELU, which change scores by far more."""
    folder = checkpoint(tmp_path / "w", is_tied=is_tied, is_scaled=is_scaled)
    speculator = loaded(llama, folder)
    hidden = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(1))
    tokens = [5, 17, 2]
    state = speculator.first_state(hidden)
    wanted = by_hand(folder, hidden[0].double().numpy(), tokens, is_tied=is_tied, is_scaled=is_scaled)
    for i, token in enumerate(tokens):
        state, scores = speculator.advance(i, state, np.array([token]))
        np.testing.assert_allclose(scores[0].numpy(), wanted[i], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("num_heads", "inner", "ratio"), [(3, 1024, 11.536), (3, 4096, 23.072), (4, 3072, 17.048), (5, 4096, 17.451)]
)
def test_the_mixing_ratio_is_that_of_the_published_models(num_heads: int, inner: int, ratio: float) -> None:
    assert mixing_ratio(num_heads, inner) == pytest.approx(ratio, abs=5e-4)


@pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "untied"])
def test_stages_in_training_score_as_stages_that_draft(is_tied: bool, llama: Target, tmp_path: Path) -> None:
    """Forced along the same tokens."""
    torch.manual_seed(0)
    heads = SpeculatorHeads(WIDTH, VOCAB_SIZE, INNER, NUM_HEADS, is_tied=is_tied)
    torch.nn.init.normal_(heads.norm_bias[0])
    speculator = loaded(llama, write_weights(tmp_path / "w", heads.tensors(), heads.config()))
    ids, hidden = torch.tensor([prompt_ids(9)]), torch.randn(1, 8, WIDTH)
    with torch.inference_mode():
        wanted = torch.stack(list(heads.scores(ids, hidden)))
    for place in range(8 - NUM_HEADS):
        state = speculator.first_state(hidden[0, place : place + 1])
        for i in range(NUM_HEADS):
            state, scores = speculator.advance(i, state, ids[0, place + 1 + i : place + 2 + i].numpy())
            torch.testing.assert_close(scores[0], wanted[i, 0, place], rtol=1e-4, atol=1e-4)


def test_a_tied_checkpoint_may_repeat_its_tensors(llama: Target, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "w", is_tied=True, is_scaled=True)
    once = loaded(llama, folder)
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    for kind in ("emb.{}.weight", "head.{}.weight", "ln.{}.weight", "ln.{}.bias"):
        for i in (1, 2):
            tensors[f"speculator.{kind.format(i)}"] = tensors[f"speculator.{kind.format(0)}"].clone()
    tensors["speculator.proj.2.weight"] = tensors["speculator.proj.1.weight"].clone()
    repeated = tmp_path / "repeated"
    repeated.mkdir()
    save_file(tensors, repeated / "model.safetensors")
    (repeated / "config.json").write_text((folder / "config.json").read_text())
    twice = loaded(llama, repeated)
    state = torch.randn(2, INNER)
    for i in (1, 2):
        for one, other in zip(*(made.advance(i, state, np.array([3, 4])) for made in (once, twice)), strict=True):
            assert torch.equal(one, other)


@every_kind
@pytest.mark.parametrize("most", [1, 3, 8])
def test_compiled_stages_grow_the_branches_that_torch_does(
    most: int, is_tied: bool, is_scaled: bool, llama: Target, tmp_path: Path
) -> None:
    speculator = loaded(llama, checkpoint(tmp_path / "w", is_tied=is_tied, is_scaled=is_scaled))
    hidden = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(3))
    compiled = speculator.levels(hidden, 7, [4, 3, 2], most)
    assert speculator.compiled is not None
    speculator.compiled = None
    for found, wanted in zip(compiled, speculator.levels(hidden, 7, [4, 3, 2], most), strict=True):
        assert found.tokens.tolist() == wanted.tokens.tolist()
        assert found.parents.tolist() == wanted.parents.tolist()
        np.testing.assert_allclose(found.values, wanted.values, rtol=1e-5, atol=1e-5)


# The tree


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


# Its place in a session


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.9, "seed": 1}], ids=["greedy", "sampled"])
def test_the_state_is_the_hidden_state_that_produced_the_root(settings: dict[str, Any], llama: Target) -> None:
    """After the last norm, of the token before the root, at every step."""
    prompt = prompt_ids(11)
    text = greedy_text(llama, prompt, 20, **settings)
    with torch.inference_mode():
        states = stock("llama").model(torch.tensor([text])).last_hidden_state[0]
    drafter = create("mlp_speculator", llama)
    assert isinstance(drafter, MlpSpeculator)
    steps = 0
    for event in generate(llama, drafter, prompt, GenerationConfig(max_new_tokens=20, **settings)):
        if isinstance(event, Stepped):
            steps += 1
            place = len(drafter.context.ids) - 2
            assert drafter._state is not None
            torch.testing.assert_close(drafter._state[0], states[place], rtol=1e-3, atol=1e-3)
    assert steps > 5


def test_a_prompt_of_one_token_starts_without_a_draft(llama: Target) -> None:
    events = generate(llama, create("mlp_speculator", llama), [5], GenerationConfig(max_new_tokens=4))
    nodes = [len(e.nodes) for e in events if isinstance(e, Stepped)]
    assert nodes[0] == 0
    assert nodes[1] > 0


def test_options_shape_the_tree(llama: Target) -> None:
    for options, depth, width in (({"depth": 2}, 2, 5), ({"top_k": 1}, 4, 1), ({"budget": 3}, 3, 3)):
        drafter = create("mlp_speculator", llama, **options)
        events = list(generate(llama, drafter, prompt_ids(9), GenerationConfig(max_new_tokens=16)))
        trees = [
            DraftTree(tuple(n.token_id for n in e.nodes), tuple(n.parent for n in e.nodes))
            for e in events
            if isinstance(e, Stepped)
        ]
        assert max(tree.depth for tree in trees) <= depth
        assert max(len(tree.children[0]) for tree in trees) <= width


# Bad input


def test_weights_for_another_width_are_refused_with_both(llama: Target, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "w", is_tied=True, is_scaled=False)
    other = Target(tiny("gpt2"))
    assert drafters.create("mlp_speculator", {"weights": str(folder)}, other), "an equal width and vocabulary fit"
    config = transformers.LlamaConfig(
        vocab_size=32, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    with pytest.raises(BadInput, match=r"width 64 with 64 tokens.*width 32 and 32 tokens"):
        drafters.create("mlp_speculator", {"weights": str(folder)}, Target(roof(build(config), 32, 64, name="narrow")))


@pytest.mark.parametrize(
    ("key", "value"), [("n_predict", 0), ("n_predict", 5), ("inner_dim", 23), ("vocab_size", "many"), ("emb_dim", None)]
)
def test_a_config_that_does_not_fit_its_tensors_is_refused(
    key: str, value: object, llama: Target, tmp_path: Path
) -> None:
    folder = checkpoint(tmp_path / "w", is_tied=False, is_scaled=False, **{key: value})
    with pytest.raises(BadInput):
        drafters.create("mlp_speculator", {"weights": str(folder)}, llama)
