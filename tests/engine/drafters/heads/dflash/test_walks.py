"""Heads on the block: trees whose children hang on their parents, chains drawn and admitted, sampling that stays."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toys import assert_fits, output_ids, prompt_ids

from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.heads import _trees
from engine.drafters.heads.dflash import walks
from engine.drafters.heads.dflash.walks import Walked
from engine.errors import BadInput
from engine.loop import generate
from engine.noise import Noise
from tests.engine.checkpoints.dflash_head_layouts import DFLASH2, DSPARK, DFlash2Reference, DSparkReference
from tests.engine.checkpoints.dflash_layouts import made, started
from tests.engine.checkpoints.eagle_layouts import plain_model, target

PROMPT = prompt_ids(9)
Tokens = tuple[int, ...]
Law = Callable[[Sequence[int]], Tensor]
"""The law (v,) behind tokens of a block."""


def dspark_law(layout: str, context: Context) -> Law:
    reference = DSparkReference(DSPARK[layout](), context)

    def law(tokens: Sequence[int]) -> Tensor:
        found = reference.law(tokens)[0]
        return torch.zeros(64).index_copy(0, reference.token_ids(), found)

    return law


def dflash2_law(layout: str, context: Context) -> Law:
    return DFlash2Reference(DFLASH2[layout](), context).law


HEADS = {
    "dspark, DeepSpec": ("dspark", DSPARK["DeepSpec"], dspark_law),
    "dspark, speculators": ("dspark", DSPARK["speculators"], dspark_law),
    "dflash2, z-lab": ("dflash2", DFLASH2["z-lab"], dflash2_law),
}


def drafter_of(tmp_path: Path, head: str, **options: object) -> Walked:
    method, published, _ = HEADS[head]
    drafter = made(tmp_path, published(), method, **options)
    assert isinstance(drafter, Walked)
    return drafter


def law_of(head: str, context: Context) -> Law:
    return HEADS[head][2](head.split(", ")[1], context)


@pytest.mark.parametrize("head", HEADS)
def test_the_tree_is_of_the_likeliest_paths_each_place_by_its_parents_law(
    head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Best of all paths of three candidates a node, worked out one by one; and siblings' children are not alike."""
    monkeypatch.setattr(_trees, "LEAST_SHARE", 1e-9)
    monkeypatch.setattr(walks, "MOST_BRANCHES", 9)
    drafter = drafter_of(tmp_path, head, top_k=3, budget=24, depth=3)
    context = started(drafter, PROMPT)
    tree, law = drafter.propose(context, Room(64)), law_of(head, context)
    pool: dict[Tokens, float] = {(): 1.0}
    for depth in range(3):
        for path in [path for path in pool if len(path) == depth]:
            best = law(path).topk(3)
            chances = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            pool |= {(*path, token): pool[path] * chance for token, chance in chances}
    del pool[()]
    wanted = dict(sorted(pool.items(), key=lambda entry: -entry[1])[:24])
    assert tree.draft_probs is not None
    paths = [tree.path_to(node) for node in range(len(tree))]
    found = {tuple(tree.tokens[i] for i in path): math.prod(tree.draft_probs[i] or 0 for i in path) for path in paths}
    assert found == pytest.approx(wanted, rel=2e-3)
    behind = [set(law((token,)).topk(3).indices.tolist()) for token in law(()).topk(3).indices.tolist()]
    assert any(one != other for one, other in itertools.pairwise(behind))


@pytest.mark.parametrize("head", ["dspark, speculators", "dflash2, z-lab"])
def test_a_drawn_chain_is_drawn_from_what_it_states(head: str, tmp_path: Path) -> None:
    """Each law is the reference's behind the tokens drawn before, at the run's temperature; and so are the tokens."""
    drafter = drafter_of(tmp_path, head, tree="chain", depth=2)
    context, pairs = started(drafter, PROMPT, temperature=0.7, rule="rejection"), torch.zeros(64, 64)
    law, known = law_of(head, context), {}
    for seed in range(40):
        context.noise = Noise(seed)
        tree = drafter.propose(context, Room(8))
        assert tree.draws is not None
        pairs[tree.tokens] += 1
        for place in range(2):
            path = tree.tokens[:place]
            known.setdefault(path, (law(path).log() / 0.7).softmax(dim=-1))
            stated = tree.draws.rows[tree.draws.row_of[place]]
            torch.testing.assert_close(stated, known[path], atol=1e-3, rtol=1e-2)
    rows = [known[(token,)] if (token,) in known else torch.zeros(64) for token in range(64)]
    assert_fits(pairs.sum(dim=1), known[()].double())
    second = torch.stack([known[()][token] * row for token, row in enumerate(rows)]).sum(dim=0)
    assert pairs.sum(dim=0).argmax() == second.argmax()


def sure_of_tokens(tmp_path: Path, **options: object) -> tuple[Walked, list[int], dict[int, float]]:
    """A DSpark whose confidence hangs on the token before alone, a prompt that ends with the surest, confidences."""
    published = DSPARK["DeepSpec"]()
    weight = published.tensors["confidence_head.proj.weight"].clone()
    weight[:, :64] = 0
    tensors = published.tensors | {"confidence_head.proj.weight": weight}
    drafter = made(tmp_path, dataclasses.replace(published, tensors=tensors), "dspark", **options)
    assert isinstance(drafter, Walked)
    doubts = tensors["markov_head.markov_w1.weight"] @ weight[0, 64:] + tensors["confidence_head.proj.bias"]
    sure = dict(enumerate(doubts.sigmoid().tolist()))
    return drafter, [*PROMPT[:-1], max(sure, key=sure.__getitem__)], sure


def test_whether_a_place_is_drafted_is_settled_before_its_token_is_drawn(tmp_path: Path) -> None:
    """DSpark's admission rule: by its state and the tokens before it, whatever the token itself would be."""
    drafter, prompt, sure = sure_of_tokens(tmp_path, tree="chain")
    drafter.least = sorted(sure.values())[32]
    context, lengths = started(drafter, prompt, temperature=1.0, rule="rejection"), set()
    for seed in range(40):
        context.noise = Noise(seed)
        tokens = drafter.propose(context, Room(8)).tokens
        before = [prompt[-1], *tokens]
        assert all(sure[token] >= drafter.least for token in before[: len(tokens)])
        assert len(tokens) == drafter.depth or sure[before[-1]] < drafter.least
        lengths.add(len(tokens))
    assert len(lengths) > 1, "all chains were as long: the test shows nothing"


def test_a_chain_that_ends_where_confidence_does_leaves_sampling_exact(tmp_path: Path) -> None:
    """Likely tokens behind a prompt come as often as in the target's own law, the second too, by either rule."""
    drafter = drafter_of(tmp_path, "dspark, DeepSpec", tree="chain", min_confidence=0.5)
    with torch.inference_mode():
        rows = torch.tensor([[*PROMPT, token] for token in range(64)])
        laws = (plain_model()(rows).logits.double() / 0.4).softmax(dim=-1)
    first, both = torch.zeros(64), torch.zeros(64)
    for seed in range(50):
        rule = ("rejection", "block_verification")[seed % 2]
        config = GenerationConfig(max_new_tokens=3, temperature=0.4, seed=seed, rule=rule, has_detail=False)
        ids = output_ids(generate(target(), drafter, PROMPT, config))
        first[ids[0]] += 1
        both[ids[1]] += 1
    assert_fits(first, laws[0, -2])
    assert_fits(both, laws[0, -2] @ laws[:, -1])


def test_below_a_token_that_confidence_is_too_low_behind_nothing_grows(tmp_path: Path) -> None:
    drafter, prompt, sure = sure_of_tokens(tmp_path, top_k=8, budget=40)
    context = started(drafter, prompt)
    first = {token for token, parent in zip(*_parts(drafter, context), strict=True) if parent < 0}
    drafter.least = sorted(sure[token] for token in first)[len(first) // 2]
    tokens, parents = _parts(drafter, context)
    inner = {tokens[parent] for parent in parents if parent >= 0}
    assert inner
    assert all(sure[token] >= drafter.least for token in inner)
    drafter.least = 1.0
    assert not len(drafter.propose(context, Room(64)))


def _parts(drafter: Walked, context: Context) -> tuple[Tokens, Tokens]:
    tree = drafter.propose(context, Room(64))
    return tree.tokens, tree.parents


def test_a_branch_is_ranked_by_the_noise_that_is_shared(tmp_path: Path) -> None:
    """Above temperature 0, with nothing learnt yet: the first path is the one that the drafter itself would draw."""
    drafter = drafter_of(tmp_path, "dspark, DeepSpec", budget=6, top_k=2)
    context = started(drafter, PROMPT, temperature=0.8)
    tree, law = drafter.propose(context, Room(64)), law_of("dspark, DeepSpec", context)
    path: Tokens = ()
    tops = {tree.path_to(node): node for node in range(len(tree))}
    for _ in range(2):
        probs = (law(path).log() / 0.8).softmax(dim=-1)
        path = (*path, context.noise.draw(probs, context.position + len(path)))
    assert path in {tuple(tree.tokens[i] for i in nodes) for nodes in tops}


@pytest.mark.parametrize("head", ["dspark, DeepSpec", "dflash2, z-lab"])
def test_a_tree_is_not_drawn(head: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="chooses its drafts"):
        drafter_of(tmp_path, head).check(GenerationConfig(temperature=1.0, rule="rejection"))
