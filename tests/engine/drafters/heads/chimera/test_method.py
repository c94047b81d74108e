"""Chimera's trees, its options, and weights that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toys import VOCAB_SIZE, create, prompt_ids, random_weights, tiny

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters.base import Room
from engine.drafters.heads._trees import EAGLE_1
from engine.drafters.heads.chimera.method import Chimera, plan
from engine.drafters.heads.chimera.network import MAX_DRAFT_COLUMNS
from engine.errors import BadInput
from engine.events import Stepped
from engine.loop import generate
from engine.target import Target
from tests.engine.drafters.heads.chimera.parts import loud_weights, make, started


def test_a_pass_runs_the_nodes_of_a_depth_that_have_children_and_they_see_their_ancestors() -> None:
    shape = EAGLE_1
    levels = plan(shape)
    assert [[shape.paths[n] for n in level.nodes if n >= 0] for level in levels[:3]] == [
        [],
        [(0,), (1,), (2,), (3,)],
        [(0, 0), (0, 1), (0, 2), (1, 0)],
    ]
    assert sorted(child for level in levels for child in level.children) == list(range(25))
    # c of the root and g of the node; then c and g of each ancestor besides.
    assert [level.mask.sum(dim=1).tolist() for level in levels] == [[0], [2] * 4, [4] * 4, [6], [8]]


def test_options_cut_the_measured_tree(llama: Target, tmp_path: Path) -> None:
    folder = loud_weights(tmp_path / "w")
    rows = [[[0], 0.6], [[0, 0], 0.4], [[1], 0.2], [[0, 0, 0], 0.2], [[0, 1], 0.1], [[2], 0.05]]
    (folder / "shape.json").write_text(json.dumps(rows))

    def paths(**options: object) -> list[tuple[int, ...]]:
        drafter = drafters.create("chimera", {"weights": str(folder), **options}, llama)
        assert isinstance(drafter, Chimera)
        context = started(llama, drafter, prompt_ids(9))
        assert len(drafter.propose(context, Room(64))) == len(drafter.shape)
        return list(drafter.shape.paths)

    assert paths(budget=6) == [tuple(path) for path, _ in rows]
    assert paths(budget=3) == [(0,), (0, 0), (1,)]
    assert paths(budget=64, depth=1) == [(0,), (1,), (2,)]
    assert paths(budget=64, top_k=1) == [(0,), (0, 0), (0, 0, 0)]
    assert len(paths()) <= 6


def test_a_prompt_of_one_token_drafts_from_the_second_step_on(llama: Target, tmp_path: Path) -> None:
    events = generate(llama, make(llama, tmp_path), [5], GenerationConfig(max_new_tokens=4))
    sizes = [len(event.nodes) for event in events if isinstance(event, Stepped)]
    assert sizes[0] == 0
    assert sizes[1] > 0


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    folder = random_weights("chimera", 32, VOCAB_SIZE)
    with pytest.raises(BadInput, match=r"width 32 with 64 tokens; tiny-llama has width 64"):
        drafters.create("chimera", {"weights": str(folder)}, Target(tiny("llama")))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"num_heads": 0}, "num_heads"), ({"num_attention_heads": 3}, "do not divide"), ({"num_heads": 9}, "lack heads.")],
)
def test_a_config_that_does_not_fit_is_refused(
    llama: Target, tmp_path: Path, change: dict[str, int], message: str
) -> None:
    folder = loud_weights(tmp_path / "w")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(BadInput, match=message):
        drafters.create("chimera", {"weights": str(folder)}, llama)


def test_create_covers_it(llama: Target) -> None:
    assert isinstance(create("chimera", llama), Chimera)


def test_its_cache_is_as_long_as_the_run_and_not_as_the_context(llama: Target, tmp_path: Path) -> None:
    """A context of 131,072 tokens would be gigabytes a session."""
    drafter = make(llama, tmp_path)
    list(generate(llama, drafter, prompt_ids(9), GenerationConfig(max_new_tokens=4)))
    assert drafter.cache.keys.shape[1] == 2 * (9 + 4) + MAX_DRAFT_COLUMNS
