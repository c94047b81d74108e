"""What a faithful implementation of Hidden Transfer must show, on the embedded target."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import torch

from engine import drafters, models, suites
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.noise import Noise
from engine.runtime.runner import ModelRunner
from engine.target import Target
from engine.training import layer_sweep
from engine.tree import DraftTree
from engine.verify import Verdict

EMBEDDED = models.ASSETS / "models" / "story-hidden_transfer"


def figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EMBEDDED / layer_sweep.FILE).read_text())
    return found


def test_accuracy_by_layer_was_swept_and_is_best_inside_or_on_a_plateau() -> None:
    by_layer = figures()["accuracy_by_layer"]
    assert len(by_layer) >= 5
    first, *_, last = by_layer.values()
    for step, layer in enumerate(figures()["layers"]):
        best = by_layer[str(layer)][step]
        assert best >= max(row[step] for row in by_layer.values()) - layer_sweep.PLATEAU
        assert best >= max(first[step], last[step]) - layer_sweep.PLATEAU
    assert (EMBEDDED / layer_sweep.DRAWING).is_file()


def test_the_ablation_of_attention_to_earlier_steps_was_measured() -> None:
    ablation = figures()["ablation_of_attention_to_earlier_steps"]
    assert all(0 < share < 1 for row in ablation.values() for share in row)
    assert set(ablation) == {"with", "without"}


def test_likeness_of_pseudo_and_real_states_was_measured_from_each_steps_layer_to_the_last() -> None:
    """It need not rise with depth: least squares makes it as high as a linear map can at the transfer itself."""
    for name in ("cosine_by_layer", "centred_cosine_by_layer"):
        by_layer = figures()[name]
        for step, layer in enumerate(figures()["layers"], start=1):
            found = [row[str(step)] for at, row in by_layer.items() if int(at) >= layer]
            assert len(found) == max(map(int, by_layer)) - layer + 1
            assert all(0.05 < cosine < 1 for cosine in found)


def test_on_the_embedded_target_real_rows_keep_their_bits_and_the_cache_holds_no_pseudo_row() -> None:
    target = Target(models.load("story", "cpu"))
    drafter: Any = drafters.create("hidden_transfer", {"budget": 12, "ends": 6}, target)
    ids = target.loaded.encode(suites.questions("story", 1)[0].turns[0])
    context = Context(list(ids), GenerationConfig(), Noise(0))
    target.hidden_layers = drafter.needs.hidden_layers
    target.prefill(ids[:-1])
    drafter.start(context)
    scored = target.score(ids[-1], drafter.propose(context, Room(64)))
    token = int(scored.logits[0].argmax())
    target.commit(())
    context.tree = DraftTree(extra=drafter._rows((-1,)))
    drafter.observe(Verdict((), token, "plain"), [token], scored)
    context.ids.append(token)
    tree = drafter.propose(context, Room(64))
    assert len(tree) > 3
    with_rows = target.score(token, tree).logits
    target.discard()
    assert torch.equal(target.score(token, replace(tree, extra=None)).logits, with_rows)
    target.commit(tree.path_to(0))
    assert target.kv_length == len(ids) + 2
    fresh = ModelRunner(target.loaded.model, target.max_context, is_row_invariant=True)
    fresh.prefill(ids[:-1])
    for written in (ids[-1], token, tree.tokens[0]):
        fresh.extend([written], [-1])
        fresh.commit([0])
    for layer in range(target.loaded.model.config.num_hidden_layers):
        for kept, wanted in zip(target.runner.kv(layer), fresh.kv(layer), strict=True):
            assert torch.equal(kept, wanted)
