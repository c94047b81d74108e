"""Hydra's trees on its heads, the cache of its prefix layer, and how much it drafts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from toys import prompt_ids, steps_of

from engine.config import GenerationConfig
from engine.drafters import Costs
from engine.drafters.base import Context, Room
from engine.drafters.heads import _layers
from engine.drafters.heads._trees import MEDUSA_63
from engine.drafters.heads.hydra.method import Hydra
from engine.loop import generate
from engine.target import Target
from engine.tree import chain
from tests.engine.checkpoints.begun import deepest, paths, step
from tests.engine.checkpoints.hydra_layouts import PUBLISHED, Reference, made, opened, started, target

PROMPT = prompt_ids(9)
Node = tuple[int, ...]


def branches(reference: Reference, depth: int, top_k: int, num_nodes: int) -> dict[Node, float]:
    """The likeliest nodes, each path scored by a forward of its own."""
    pool: dict[Node, float] = {}
    frontier: dict[Node, float] = {(): 1.0}
    for _ in range(depth):
        frontier = {
            (*path, token): value * float(law[token])
            for path, value in frontier.items()
            for law in [reference.law(path)]
            for token in law.topk(top_k).indices.tolist()
        }
        pool |= frontier
    return dict(sorted(pool.items(), key=lambda entry: -entry[1])[:num_nodes])


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize("layout", PUBLISHED)
def test_the_likeliest_nodes_are_drafted(
    layout: str, is_compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_compiled:
        monkeypatch.setattr(_layers, "MOST_COMPILED", 0)
    published = PUBLISHED[layout]()
    drafter = made(tmp_path, published, top_k=2, budget=10)
    context = started(drafter, PROMPT)
    tree = drafter.propose(context, Room(64))
    assert paths(tree) == pytest.approx(branches(Reference(published, context), 3, 2, 10), rel=2e-3)
    assert tree.depth > 1


def test_what_stands_behind_a_token_hangs_on_it(tmp_path: Path) -> None:
    """Where Medusa has one list a depth."""
    drafter = made(tmp_path, PUBLISHED["Hydra"](), tree="static", budget=64)
    tree = drafter.propose(started(drafter, PROMPT), Room(64))
    below = [[tree.tokens[i] for i, parent in enumerate(tree.parents) if parent == node] for node in (0, 2)]
    assert [len(tokens) for tokens in below] == [10, 7]
    assert below[1] != below[0][:7]


def test_weights_without_a_measured_tree_take_the_released_one(tmp_path: Path) -> None:
    drafter = made(tmp_path, PUBLISHED["Hydra"](), tree="static", budget=0)
    tree = drafter.propose(started(drafter, PROMPT), Room(64))
    assert tree.parents == MEDUSA_63.limited(depth=3).parents
    assert drafter.propose(started(drafter, PROMPT), Room(64, 2)).depth == 2
    assert len(drafter.propose(started(drafter, PROMPT), Room(5))) == 5


def test_a_prompt_of_one_token_is_not_drafted_behind(tmp_path: Path) -> None:
    drafter = made(tmp_path, PUBLISHED["Hydra++"]())
    events = list(generate(target(), drafter, PROMPT[:1], GenerationConfig(max_new_tokens=6)))
    first, second, *_ = steps_of(events)
    assert not first.nodes
    assert second.nodes


def test_its_cache_is_that_of_verified_states(tmp_path: Path) -> None:
    """With nodes accepted and none, and with steps of another drafter one after another."""
    drafter = made(tmp_path, PUBLISHED["Hydra++"]())
    context = started(drafter, PROMPT)
    tree = drafter.propose(context, Room(8))
    step(target(), drafter, context, tree, deepest(tree), 7)
    step(target(), drafter, context, drafter.propose(context, Room(8)), [], 5)
    step(target(), drafter, context, chain([11, 12]), [0, 1], 13)
    step(target(), drafter, context, chain([3]), [], 2)
    proposed = drafter.propose(context, Room(8))
    fresh = opened(tmp_path / "out")
    again = fresh.propose(started_beside(fresh, context), Room(8))
    assert (again.tokens, again.parents) == (proposed.tokens, proposed.parents)
    assert again.draft_probs == pytest.approx(proposed.draft_probs, rel=1e-3)
    assert drafter.num_read == len(context.ids) - 1
    for own, wanted in ((drafter.cache.keys, fresh.cache.keys), (drafter.cache.values, fresh.cache.values)):
        read = slice(drafter.num_read)
        torch.testing.assert_close(own[:, read], wanted[:, read], atol=1e-4, rtol=1e-3)


def started_beside(drafter: Hydra, context: Context) -> Context:
    """Another session whose text is the same."""
    other = Target(target().loaded)
    other.hidden_layers = drafter.needs.hidden_layers
    again = Context(list(context.ids), context.config, context.noise)
    again.prompt_hidden = other.prefill(context.ids[:-1])
    drafter.start(again)
    return again


def test_as_many_nodes_as_pay_are_drafted(tmp_path: Path) -> None:
    """By shares that were measured with the weights, each level at its cost; else by what is accepted meanwhile."""
    drafter = made(tmp_path, PUBLISHED["Hydra++"](), budget=0)
    context = started(drafter, PROMPT)
    drafter.fit(Costs.known([1.0] + [99.0] * 128))
    assert not len(drafter.propose(context, Room(64)))
    rows = [[[0], 0.6], [[1], 0.2], [[0, 0], 0.19], [[2], 0.01]]
    (drafter.weights.folder / "shape.json").write_text(json.dumps(rows))
    for level_cost, wanted in ((0.0, ((0,), (1,), (0, 0))), (0.2, ((0,), (1,)))):
        measured = opened(tmp_path / "out", budget=0)
        measured.fit(Costs.known([1.0, 1.05, 1.1, 1.15, 9.0], draft=2 * level_cost))
        assert measured.shape.paths == wanted
        assert len(measured.propose(started(measured, PROMPT), Room(64))) == len(wanted)


def test_states_of_the_prefix_layer_hang_on_all_of_the_text(tmp_path: Path) -> None:
    """And not on the last state alone: an earlier token changes what is drafted."""
    drafter = made(tmp_path, PUBLISHED["Hydra++"]())
    started(drafter, PROMPT)
    state = drafter._state
    context = started(drafter, PROMPT)
    assert context.prompt_hidden is not None
    context.prompt_hidden = (context.prompt_hidden[0].clone(),)
    context.prompt_hidden[0][0] += 1
    drafter.start(context)
    assert state is not None
    assert drafter._state is not None
    assert not torch.allclose(state, drafter._state, atol=1e-3)
