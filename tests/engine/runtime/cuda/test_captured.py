"""Work that is captured by the sizes of what it is given; what a device refuses; and drafters that run so."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import FAMILIES, MAX_CONTEXT, VOCAB_SIZE, build, create, loaded, masking, prompt_ids, steps_of
from toys.pretend_cuda import moved, pretended_cuda
from toys.static_passes import Replays, run_static

from engine import drafters, models
from engine.config import GenerationConfig
from engine.drafters import Costs
from engine.drafters.heads import _layers
from engine.drafters.heads._candidates import likeliest, ranked, read
from engine.drafters.heads._decoder_layer import LayerWeights, TorchCache, TorchLayer, angles
from engine.drafters.heads._decoder_played import PlayedCache
from engine.events import Prefilled, SessionFinished, Stepped
from engine.loop import generate
from engine.runtime.cuda import graphs
from engine.runtime.cuda.buckets import looked_at
from engine.runtime.cuda.captured import Called, Captured, filled_up, looks
from engine.target import Target

CPU = torch.device("cpu")
MOST_LAUNCHES = {
    "plain": 24,
    "medusa": 30,
    "mlp_speculator": 55,
    "hydra": 55,
    "chimera": 65,
    "eagle": 60,
    "dflash": 45,
    "hidden_transfer": 40,
}
"""Of a step: kernels, copies and graphs; kernel by kernel a drafter has twice to four times as many."""
PROMPT = [*prompt_ids(7), *prompt_ids(7), *prompt_ids(4)]


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> Replays:
    monkeypatch.setattr(drafters, "costs_of", lambda target: Costs.known([1.0] * 129, draft=0.2))
    return run_static(monkeypatch, is_captured=True)


def target_of(family: str = "llama") -> Target:
    return Target(loaded(build(FAMILIES[family]()), VOCAB_SIZE, MAX_CONTEXT))


def run(target: Target, name: str, num: int = 6) -> Any:
    events = list(generate(target, create(name, target), PROMPT, GenerationConfig(max_new_tokens=num)))
    finished = events[-1]
    assert isinstance(finished, SessionFinished)
    assert finished.reason == "length", finished.message
    return events


def add(numbers: Tensor, sees: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    return x + numbers[:, None], sees.sum(dim=1)


def test_work_is_captured_by_buckets_and_gives_what_it_gives_where_it_is_called(replays: Replays) -> None:
    captured, called = Captured(CPU), Called(CPU)
    kept = []
    for num_rows in (1, 2, 3, 4, 3, 130):
        told = np.arange(num_rows), np.tri(num_rows, dtype=np.bool_)
        given = (torch.randn(num_rows, 5),)
        found, wanted = captured.run("add", add, told, given), called.run("add", add, told, given)
        kept.append((found[0][:num_rows], wanted[0]))
        assert found[1][:num_rows].tolist() == wanted[1].tolist()
    assert all(torch.equal(*pair) for pair in kept), "what came first stays when the next has run"
    assert replays.num_captured == 4, "1, 2, 4 by 3 and 4 columns; 130 are more than the largest bucket"
    captured.run("another", add, (np.arange(1), np.ones((1, 1), np.bool_)), (torch.ones(1, 5),))
    assert replays.num_captured == 5


def test_lists_are_filled_up_and_columns_that_fill_up_are_not_seen() -> None:
    assert filled_up(np.arange(5), 9).tolist() == [0, 1, 2, 3, 4, 9, 9, 9]
    seen = looks(np.array([[True, False, True]]))
    assert seen.shape == (1, 16)
    visible, is_kept, _ = looked_at(torch.tensor([2]), torch.from_numpy(seen), 24)
    assert visible[0].nonzero()[:, 0].tolist() == [0, 1, 2, 4]
    assert is_kept.sum() == 2


def test_the_likeliest_tokens_come_down_as_they_were_ranked() -> None:
    scores = torch.randn(3, 50)
    for one, other in zip(read(ranked(scores, 4), 2), likeliest(scores[:2], 4), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("name", MOST_LAUNCHES)
def test_a_step_tells_its_device_little_and_the_next_session_captures_nothing(name: str, replays: Replays) -> None:
    with pretended_cuda() as waits:
        replays.as_one = waits.one_launch
        target = Target(loaded(moved(build(FAMILIES["llama"]())), VOCAB_SIZE, MAX_CONTEXT))
        run(target, name)
        if name == "hidden_transfer":  # what comes seldom is captured when it comes again
            run(target, name)
        captured, counted = replays.num_captured, [waits.launches]
        for event in generate(target, create(name, target), PROMPT, GenerationConfig(max_new_tokens=6)):
            if isinstance(event, Stepped | Prefilled):
                counted.append(waits.launches)
        assert replays.num_captured == captured > 0
        assert max(np.diff(counted[1:])) <= MOST_LAUNCHES[name]


def test_a_layers_columns_are_those_that_it_has_where_it_is_called(replays: Replays) -> None:
    """Rows that fill up a pass write over none of them."""
    d, heads = 16, 2
    sizes = {"qkv": (3 * d, d), "output": (d, d), "gate_up": (4 * d, d), "down": (d, 2 * d)}
    weights = LayerWeights(num_heads=heads, eps=1e-6, **{name: torch.randn(size) / 4 for name, size in sizes.items()})
    layer = TorchLayer(weights, target_of().loaded)
    assert layer.rooms is not None
    called = TorchCache(layer, 64, angles(d // heads, 1e4, 64, CPU))
    played = layer.rooms.lend(partial(PlayedCache, layer, lambda num: angles(d // heads, 1e4, num, CPU)))
    for first, num in ((0, 5), (5, 3), (8, 11)):
        where = torch.arange(first, first + num)
        given = torch.randn(num, d), 2, where, where, first + num, torch.tensor([[True, False], [True, True]])
        torch.testing.assert_close(played.encode(*given), called.encode(*given))
    torch.testing.assert_close(played.keys[:, :19], called.keys[:, :19])
    torch.testing.assert_close(played.values[:, :19], called.values[:, :19])


@pytest.mark.parametrize("name", ["draft_model", "pard"])
def test_a_draft_models_passes_are_replayed(name: str, replays: Replays, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = loaded(masking(build(FAMILIES["llama"](), seed=7)), VOCAB_SIZE, MAX_CONTEXT)
    monkeypatch.setattr(models, "load_draft", lambda name, target: draft)
    target = target_of()
    drafter: Any = create(name, target)
    list(generate(target, drafter, PROMPT, GenerationConfig(max_new_tokens=6)))
    assert len(drafter.runner._cache.room.graphs) > 0
    assert drafter.caveat == ""


def test_a_draft_model_of_another_family_says_why_it_is_not_replayed(
    replays: Replays, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = loaded(build(FAMILIES["gpt2"]()), VOCAB_SIZE, MAX_CONTEXT)
    monkeypatch.setattr(models, "load_draft", lambda name, target: draft)
    caveat = create("draft_model", target_of()).caveat
    assert caveat.endswith("launched kernel by kernel, because the gpt2 family has no static pass.")


def test_networks_beside_packed_weights_are_called_and_say_why(replays: Replays) -> None:
    target = target_of()
    target.loaded.model.hf_quantizer = object()
    assert isinstance(_layers.player(target.loaded), Called)
    drafter = create("medusa", target)
    assert drafter.caveat.endswith("Drafts are launched kernel by kernel, because its weights are quantised.")


def refuse(*given: Any) -> Any:
    raise RuntimeError("operation not permitted when stream is capturing.\nMore about it.")


@pytest.mark.parametrize("name", ["plain", "eagle"])
def test_what_a_device_refuses_to_capture_is_done_kernel_by_kernel_and_said(
    name: str, replays: Replays, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = steps_of(run(target_of(), name))
    monkeypatch.setattr(graphs, "capture", refuse)
    target = target_of()
    found = steps_of(run(target, name))
    assert [step.path for step in found] == [step.path for step in wanted]
    said = "because this device did not capture them (operation not permitted when stream is capturing)."
    monkeypatch.setattr(target.runner, "is_row_invariant", False)
    assert target.caveat.endswith(said)
    assert name == "plain" or create(name, target).caveat.endswith(said)


def test_memory_that_runs_out_in_a_capture_is_no_refusal(replays: Replays, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*given: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(graphs, "capture", exhausted)
    captured = Captured(CPU)
    with pytest.raises(torch.OutOfMemoryError):
        captured.run("work", lambda x: (x,), given=(torch.ones(1, 1),))
    assert captured.graphs.refusals == []
