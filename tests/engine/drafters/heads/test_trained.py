"""What the family gives a trained method that brings no more than a network and a tree."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from toys import VOCAB_SIZE, greedy_text, output_ids, prompt_ids, tiny, write_weights

from engine.config import GenerationConfig
from engine.drafters import shapes
from engine.drafters.base import Context, Room
from engine.drafters.heads._candidates import likeliest
from engine.drafters.heads._layers import linear
from engine.drafters.heads._trained import TrainedDrafter
from engine.drafters.heads._weights import Weights
from engine.errors import BadInput
from engine.events import Stepped
from engine.loop import generate
from engine.models import LoadedModel
from engine.target import Target
from engine.tree import EMPTY_TREE, DraftTree, chain


class Echo:
    """A network: one matrix on the target's hidden state."""

    num_made = 0

    def __init__(self, weights: Weights, loaded: LoadedModel) -> None:
        Echo.num_made += 1
        weights.check_sizes(loaded, weights.number("width"), VOCAB_SIZE)
        self.output = linear(loaded, weights.take("output", VOCAB_SIZE, 64))


class Fifth(TrainedDrafter):
    """A method of a few lines: the likeliest token behind the root's state, once more."""

    name = "fifth"
    title = summary = source = "toy"

    def __init__(self, options: Any, target: Target) -> None:
        super().__init__(options, target)
        self.network = self._shared(target, Echo)

    def propose(self, context: Context, room: Room) -> DraftTree:
        if self._state is None or room.chain < 1:
            return EMPTY_TREE
        return chain(likeliest(self.network.output(self._state), 1)[0][0].tolist())


def fifth(target: Target, folder: Path, **config: Any) -> Fifth:
    weights = target.loaded.model.get_output_embeddings().weight.detach().clone()
    write_weights(folder, {"output": weights}, {"width": 64, **config})
    return Fifth(Fifth.Options(weights=str(folder)), target)


def test_a_network_and_a_tree_are_a_method(tmp_path: Path) -> None:
    """Its drafts are what the target scored one place before: the root itself, from the state that produced it."""
    target, prompt, made = Target(tiny("llama")), prompt_ids(7), Echo.num_made
    text = greedy_text(target, prompt, 16)
    fifth(target, tmp_path / "w")
    drafter = Fifth(Fifth.Options(weights=str(tmp_path / "w")), target)
    assert Echo.num_made == made + 1, "sessions of a target share the network"
    events = list(generate(target, drafter, prompt, GenerationConfig(max_new_tokens=16)))
    assert output_ids(events) == text[len(prompt) :]
    steps = [event for event in events if isinstance(event, Stepped)]
    drafts = [[node.token_id for node in step.nodes] for step in steps[1:-1]]  # of a root that the target chose
    assert drafts == [[step.emitted[-1].token_id] for step in steps[:-2]]


def test_its_weights_are_found_checked_and_explained(tmp_path: Path) -> None:
    target = Target(tiny("llama"))
    assert Fifth.needs.weights
    assert "engine train fifth" in str(Fifth.unavailable(target))
    with pytest.raises(BadInput, match="fifth weights are for a target of width 32 with 64 tokens; tiny-llama has"):
        fifth(target, tmp_path / "w", width=32)


def test_a_shape_is_as_large_as_asked_for(tmp_path: Path) -> None:
    target = Target(tiny("llama"))
    drafter = fifth(target, tmp_path / "w")
    shape = shapes.Shape(((0,), (0, 0), (1,), (0, 0, 0)), (0.5, 0.4, 0.3, 0.2))
    drafter.options = SimpleNamespace(budget=2, depth=0, top_k=1)
    assert drafter._asked(shape, target).paths == ((0,), (0, 0))
    drafter.options = SimpleNamespace(budget=0, depth=3, top_k=0)
    assert drafter._asked(shape, target, num_steps=2).paths == ((0,), (0, 0), (1,))
