"""EAGLE's trees on its layer, its cache, and how much it drafts."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys import prompt_ids

from engine.drafters.base import Room
from engine.drafters.heads._trees import EAGLE_1
from engine.drafters.heads.eagle import compiled, network
from tests.engine.checkpoints.begun import paths
from tests.engine.checkpoints.eagle_layouts import PUBLISHED, Reference, made, started

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


@pytest.mark.parametrize("layout", PUBLISHED)
def test_the_tree_is_eagle_2s(layout: str, in_either_form: None, tmp_path: Path) -> None:
    """Masks and positions too: each path is scored as if it stood alone."""
    published = PUBLISHED[layout]()
    drafter = made(tmp_path, published, depth=3, top_k=3, budget=10)
    context = started(drafter, PROMPT)
    tree = drafter.propose(context, Room(64))
    assert paths(tree) == pytest.approx(branches(Reference(published, context), 3, 3, 10), rel=2e-3)
    assert tree.depth > 1


def test_trees_of_one_shape(tmp_path: Path) -> None:
    drafter = made(tmp_path, PUBLISHED["EAGLE-1"](), tree="static", budget=0)
    tree = drafter.propose(started(drafter, PROMPT), Room(64))
    assert tree.parents == EAGLE_1.limited(depth=6).parents
    assert drafter.propose(started(drafter, PROMPT), Room(64, 2)).depth == 2


def test_a_long_prompt_is_read_in_blocks(in_either_form: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drafter = made(tmp_path, PUBLISHED["EAGLE-3"]())
    whole = drafter.propose(started(drafter, PROMPT), Room(8))
    monkeypatch.setattr(network, "MOST_ROWS", 3)
    monkeypatch.setattr(compiled, "MOST_ROWS", 3)
    parts = drafter.propose(started(drafter, PROMPT), Room(8))
    assert (whole.tokens, whole.parents) == (parts.tokens, parts.parents)
    assert whole.draft_probs == pytest.approx(parts.draft_probs, rel=1e-4)
