"""LayerSkip and Draft & Verify: what the layers draft, that verification goes on from them, and what is refused."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from toys import FAMILIES, create, greedy_text, output_ids, prompt_ids, steps_of, stock, tiny

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.own_layers.layer_skip import LayerSkip
from engine.drafters.own_layers.self_speculation import layers_of
from engine.errors import BadInput
from engine.facts import TargetFacts
from engine.loop import generate
from engine.noise import Noise
from engine.runtime.runner import ModelRunner
from engine.target import Target

PROMPT = prompt_ids(9)
SAMPLED: dict[str, Any] = {"temperature": 0.9, "seed": 2}


@pytest.mark.parametrize(
    ("family", "settings"), [("llama", {}), ("llama", SAMPLED), ("gemma3", {}), ("gpt_neox", SAMPLED)], ids=str
)
@pytest.mark.parametrize("name", ["layer_skip", "self_speculation"])
def test_the_text_is_plain_decodings_in_every_family(name: str, family: str, settings: dict[str, Any]) -> None:
    assert family in FAMILIES
    target = Target(tiny(family))
    drafter = create(name, target, min_confidence=0.0, **({"skip": "1"} if name == "self_speculation" else {}))
    found = output_ids(generate(target, drafter, PROMPT, GenerationConfig(max_new_tokens=24, **settings)))
    assert found == greedy_text(target, PROMPT, 24, **settings)[len(PROMPT) :]


def test_a_draft_that_leaves_nothing_out_is_accepted_whole(llama: Target) -> None:
    drafter = create("self_speculation", llama, skip="", depth=4, min_confidence=0.0)
    steps = steps_of(list(generate(llama, drafter, PROMPT, GenerationConfig(max_new_tokens=25))))
    assert {len(step.path) for step in steps} == {4}


def test_the_first_layers_draft_what_an_early_exit_of_the_model_says(llama: Target) -> None:
    model = stock("llama")
    drafter = create("layer_skip", llama, exit_layer=1, depth=2, min_confidence=0.0)
    step = steps_of(list(generate(llama, drafter, PROMPT, GenerationConfig(max_new_tokens=4))))[0]
    ids = list(PROMPT)
    for node in step.nodes:
        with torch.inference_mode():
            hidden = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[1]
            logits = model.lm_head(model.model.norm(hidden[0, -1]))  # type: ignore[operator,union-attr]
        assert node.token_id == int(logits.argmax())
        ids.append(node.token_id)


def test_verification_goes_on_from_the_first_layers_and_reads_no_layer_twice(
    llama: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row goes through each layer once."""
    drafter = create("layer_skip", llama, exit_layer=1, depth=3, min_confidence=0.0)
    passed: list[tuple[int, int]] = []
    extend = ModelRunner.extend

    def noted(self: ModelRunner, inputs: Any, parents: Any, **given: Any) -> Any:
        for layer in given.get("layers") or range(self.num_layers):
            passed.append((layer, len(inputs)))
        return extend(self, inputs, parents, **given)

    monkeypatch.setattr(ModelRunner, "extend", noted)
    steps = steps_of(list(generate(llama, drafter, PROMPT, GenerationConfig(max_new_tokens=16))))
    num_rows = sum(1 + len(step.nodes) for step in steps)
    for layer in range(2):
        assert sum(rows for at, rows in passed if at == layer) == num_rows + len(PROMPT) - 1


def test_scores_are_to_the_bit_those_of_a_whole_pass(llama: Target) -> None:
    drafter = create("layer_skip", llama, exit_layer=1, depth=4, min_confidence=0.0)
    seen: list[tuple[list[int], Any, torch.Tensor]] = []
    launch = llama.launch

    def noted(root_id: int, tree: Any) -> Any:
        pending = launch(root_id, tree)
        seen.append(([*drafter.context.ids], tree, pending.scored.logits.clone()))
        return pending

    llama.__dict__["launch"] = noted
    output_ids(generate(llama, drafter, PROMPT, GenerationConfig(max_new_tokens=12)))
    other = llama.beside()
    assert any(tree.begun for _, tree, _ in seen)
    for ids, tree, logits in seen:
        other.prefill(ids[:-1])
        whole = other.score(ids[-1], dataclasses.replace(tree, begun=None))
        assert torch.equal(logits, whole.logits)


def test_beside_another_drafter_what_was_begun_is_dropped(llama: Target) -> None:
    """Two trees in one are read anew, and the first layers hold nothing twice."""
    text = greedy_text(llama, PROMPT, 20)
    both = drafters.WithUnion(create("prompt_lookup", llama), create("layer_skip", llama, min_confidence=0.0))
    assert output_ids(generate(llama, both, PROMPT, GenerationConfig(max_new_tokens=20))) == text[len(PROMPT) :]


@pytest.mark.parametrize("exit_layer", [2, 30])
def test_an_exit_out_of_range_is_refused_with_the_range(exit_layer: int, llama: Target) -> None:
    with pytest.raises(BadInput, match=rf"exit_layer is {exit_layer}; .* has 2 layers, .* 1 to 1"):
        LayerSkip(LayerSkip.Options(exit_layer=exit_layer), llama)


def test_lists_of_layers_are_read_and_others_refused() -> None:
    deep, shallow = (cast(TargetFacts, SimpleNamespace(name="m", num_layers=num)) for num in (30, 2))
    for word in ("auto", "middle"):
        assert layers_of(word, deep) == {8, 10, 12, 14, 16, 18, 20, 22}
    assert layers_of("3, 5", deep) == {3, 5}
    assert layers_of("", deep) == frozenset()
    for given in ("30", "-1", "a", "0,1"):
        with pytest.raises(BadInput, match=r"Option skip .* layers 0 to \d+ of m"):
            layers_of(given, shallow if given == "0,1" else deep)


@pytest.mark.parametrize("name", ["layer_skip", "self_speculation"])
def test_a_draft_that_is_asked_for_again_is_the_same(name: str, llama: Target) -> None:
    drafter, context = create(name, llama), Context(list(PROMPT), GenerationConfig(), Noise(0))
    llama.prefill(PROMPT[:-1])
    drafter.start(context)
    first, again = (drafter.propose(context, Room(9)) for _ in range(2))
    assert first.tokens == again.tokens
    assert llama.runner.num_pending <= len(first) + 1
