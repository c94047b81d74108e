"""MLP Speculator in a session: its state, its options, and weights that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from toys import build, create, greedy_text, prompt_ids, stock, tiny
from toys import loaded as roof

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters.heads.mlp_speculator.method import MlpSpeculator
from engine.errors import BadInput
from engine.events import Stepped
from engine.loop import generate
from engine.target import Target
from engine.tree import DraftTree
from tests.engine.drafters.heads.mlp_speculator.checkpoints import checkpoint


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
