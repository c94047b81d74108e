"""EAGLE's trees on its layer, its cache, and how much it drafts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from toys import output_ids, prompt_ids

from engine.config import GenerationConfig
from engine.drafters import Costs
from engine.drafters.base import Room
from engine.drafters.heads._trees import EAGLE_1
from engine.drafters.heads.eagle import network
from engine.loop import generate
from tests.engine.checkpoints.begun import deepest, paths, step
from tests.engine.checkpoints.eagle_layouts import PUBLISHED, Reference, made, started, target

PROMPT = prompt_ids(9)
Node = tuple[int, ...]


def branches(reference: Reference, depth: int, top_k: int, num_nodes: int) -> dict[Node, float]:
    """EAGLE-2's tree by its description: paths with their probabilities, each scored by a forward of its own."""
    pool: dict[Node, float] = {}
    frontier: dict[Node, float] = {(): 1.0}
    for _ in range(depth):
        level: dict[Node, float] = {}
        for path, value in frontier.items():
            ids, law = reference.law(path)
            for row in law.topk(top_k).indices.tolist():
                level[*path, int(ids[row])] = value * float(law[row])
        pool |= level
        frontier = dict(sorted(level.items(), key=lambda entry: -entry[1])[:top_k])
    return dict(sorted(pool.items(), key=lambda entry: -entry[1])[:num_nodes])


@pytest.mark.parametrize("layout", ["EAGLE-1", "EAGLE-3.1"])
def test_the_tree_is_eagle_2s(layout: str, tmp_path: Path) -> None:
    """Masks and positions too: each path is scored as if it stood alone."""
    published = PUBLISHED[layout]()
    drafter = made(tmp_path, published, depth=3, top_k=3, budget=10)
    context = started(drafter, PROMPT)
    tree = drafter.propose(context, Room(64))
    assert paths(tree) == pytest.approx(branches(Reference(published, context), 3, 3, 10), rel=1e-3)
    assert tree.depth > 1


def test_trees_of_one_shape(tmp_path: Path) -> None:
    drafter = made(tmp_path, PUBLISHED["EAGLE-1"](), tree="static", budget=0)
    tree = drafter.propose(started(drafter, PROMPT), Room(64))
    assert tree.parents == EAGLE_1.limited(depth=6).parents
    assert drafter.propose(started(drafter, PROMPT), Room(64, 2)).depth == 2


def test_its_cache_is_that_of_the_text_whatever_was_drafted(tmp_path: Path) -> None:
    """And so the drafts behind a verified text are those of a drafter that begins there."""
    drafter = made(tmp_path, PUBLISHED["EAGLE-3"]())
    events = list(generate(target(), drafter, PROMPT, GenerationConfig(max_new_tokens=12)))
    text = [*PROMPT, *output_ids(events)]
    drafter._catch_up(drafter.context.ids)
    kept = [part[:, : drafter.num_read].clone() for part in (drafter.cache.keys, drafter.cache.values)]
    proposed = drafter.propose(drafter.context, Room(12))
    context = started(drafter, text[: drafter.num_read + 1])
    for own, fresh in zip(kept, (drafter.cache.keys, drafter.cache.values), strict=True):
        torch.testing.assert_close(own, fresh[:, : own.shape[1]], atol=1e-4, rtol=1e-3)
    again = drafter.propose(context, Room(12))
    assert (again.tokens, again.parents) == (proposed.tokens, proposed.parents)


def test_a_path_that_was_accepted_is_read_anew_from_the_targets_states(tmp_path: Path) -> None:
    drafter = made(tmp_path, PUBLISHED["EAGLE-3"]())
    context = started(drafter, PROMPT)
    tree = drafter.propose(context, Room(8))
    path = deepest(tree)
    step(target(), drafter, context, tree, path, 7)
    drafter._catch_up(context.ids)
    kept, num_read = drafter.cache.keys.clone(), drafter.num_read
    assert num_read == len(PROMPT) + len(path)
    started(drafter, context.ids)
    torch.testing.assert_close(kept[:, :num_read], drafter.cache.keys[:, :num_read], atol=1e-4, rtol=1e-3)


def test_a_long_prompt_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drafter = made(tmp_path, PUBLISHED["EAGLE-3"]())
    whole = drafter.propose(started(drafter, PROMPT), Room(8))
    monkeypatch.setattr(network, "MOST_ROWS", 3)
    parts = drafter.propose(started(drafter, PROMPT), Room(8))
    assert (whole.tokens, whole.parents) == (parts.tokens, parts.parents)
    assert whole.draft_probs == pytest.approx(parts.draft_probs, rel=1e-4)


def test_as_many_nodes_as_pay_are_drafted(tmp_path: Path) -> None:
    """By shares where they were measured with the weights, else by what is accepted meanwhile."""
    drafter = made(tmp_path, PUBLISHED["EAGLE-3"](), budget=0)
    context = started(drafter, PROMPT)
    assert len(drafter.propose(context, Room(64))) == 59
    drafter.fit(Costs.known([1.0] + [99.0] * 128))
    assert not len(drafter.propose(context, Room(64)))
    (drafter.weights.folder / "shares.json").write_text(json.dumps([0.6, 0.2, 0.01]))
    drafter.fit(Costs.known([1.0, 1.1, 1.2, 9.0], draft=0.1))
    assert drafter.num_nodes == 2
