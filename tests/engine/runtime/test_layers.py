"""Passes through some layers: in two they are a whole one to the bit, and a layer keeps what went through it."""

from __future__ import annotations

import functools
import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from toys import DTYPES, FAMILIES, MAX_CONTEXT, VOCAB_SIZE, build, prompt_ids, stock_logits

from engine.errors import RunFailed
from engine.runtime.extra import ExtraRows, decoder_layers
from engine.runtime.longrope import make_runner
from engine.runtime.runner import ModelRunner

NUM_LAYERS = 4
SKIPPED = [{1}, {0, 2}, {3}, {1, 2, 3}]
PARENTS = (-1, 0, 0, 2, 1, -1)
every_family = pytest.mark.parametrize("family", FAMILIES)


def deep(family: str) -> Any:
    """A family's config with four layers."""
    config: Any = FAMILIES[family]()
    if kinds := getattr(config, "layer_types", None):
        config.layer_types = (kinds * 2)[:NUM_LAYERS]
    config.num_hidden_layers = NUM_LAYERS
    return config


@functools.cache
def model_of(family: str, dtype: str = "float32") -> Any:
    return build(deep(family), dtype)


def runner_of(family: str, dtype: str = "float32") -> ModelRunner:
    return make_runner(model_of(family, dtype), MAX_CONTEXT, is_row_invariant=True)


def without(family: str, skipped: set[int]) -> Any:
    """An untouched model that never had some of the layers."""
    model = build(deep(family))
    layers: Any = decoder_layers(model)
    config: Any = model.config
    kept = [layer for layer in range(NUM_LAYERS) if layer not in skipped]
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[layer] for layer in kept]
    for layer in sorted(skipped, reverse=True):
        del layers[layer]
    config.num_hidden_layers = len(kept)
    return model


def in_two(runner: ModelRunner, ids: list[int], parents: tuple[int, ...], cut: int) -> Tensor:
    """Logits of a pass to a layer and another from there on."""
    below = runner.extend(ids, parents, layers=range(cut))
    assert below.logits.shape == (0, VOCAB_SIZE)
    assert below.states is not None
    return runner.extend(below.states, parents, layers=range(cut, NUM_LAYERS)).logits


@pytest.mark.parametrize("dtype", DTYPES)
@every_family
def test_a_pass_in_two_is_a_whole_one_to_the_bit(family: str, dtype: str) -> None:
    runner, ids = runner_of(family, dtype), prompt_ids(6, seed=5)
    runner.prefill(prompt_ids(9))
    wanted = runner.extend(ids, PARENTS).logits.clone()
    for cut in (1, 3):
        runner.commit(())
        assert torch.equal(in_two(runner, ids, PARENTS, cut), wanted)
    runner.commit((0, 2, 3))
    after = runner.extend([7], [-1]).logits.clone()
    runner.prefill(prompt_ids(9))
    runner.extend([ids[0], ids[2], ids[3]], (-1, 0, 1))
    assert torch.equal(runner.extend([7], [2]).logits, after)


@pytest.mark.parametrize("skipped", SKIPPED, ids=str)
@every_family
def test_layers_that_are_left_out_are_as_if_they_had_never_been(family: str, skipped: set[int]) -> None:
    """Of the draft nothing stays: a whole pass behind it is what it would have been."""
    runner, text = runner_of(family), prompt_ids(7)
    wanted = stock_logits(without(family, skipped), text)
    found = [runner.extend([text[0]], [-1], skip=skipped).logits]
    found.append(runner.extend(text[1:5], range(4), skip=skipped).logits)
    found.append(runner.extend(text[5:], (4, 5), skip=skipped, num_logits=1).logits)
    torch.testing.assert_close(torch.cat(found).float(), wanted[[*range(5), 6]], atol=1e-4, rtol=1e-4)
    assert {runner.lengths(layer) for layer in skipped} == {(0, 0)}
    runner.commit(())
    torch.testing.assert_close(
        runner.extend(text, range(-1, 6)).logits, stock_logits(model_of(family), text), atol=1e-4, rtol=1e-4
    )


@every_family
def test_states_behind_a_layer_are_what_enters_the_next_and_can_be_scored(family: str) -> None:
    runner, text = runner_of(family), prompt_ids(8)
    runner.prefill(text)
    whole = runner.extend([1, 2, 3], [-1, 0, 0], hidden_layers=(1, 3, 4))
    assert whole.hidden is not None
    for layer in (1, 3):
        runner.commit(())
        part = runner.extend([1, 2, 3], [-1, 0, 0], layers=range(layer), hidden_layers=(1, layer))
        assert part.hidden is not None
        assert part.states is not None
        assert torch.equal(part.states, whole.hidden[layer // 2])
        assert torch.equal(part.hidden[0], whole.hidden[0])
        assert torch.equal(part.hidden[1], part.states)
        left_out = set(range(layer, NUM_LAYERS))
        runner.commit(())
        assert torch.equal(runner.scores(part.states), runner.extend([1, 2, 3], [-1, 0, 0], skip=left_out).logits)
    runner.commit(())
    unscored = runner.extend([1, 2, 3], [-1, 0, 0], num_logits=0, hidden_layers=(4,))
    assert unscored.hidden is not None
    assert unscored.states is not None
    assert torch.equal(unscored.hidden[0], whole.hidden[2])
    assert torch.equal(runner.scores(unscored.states), whole.logits)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@settings(max_examples=25)
@given(st.integers(1, 3), st.integers(0, 10_000))
def test_every_layer_keeps_what_went_through_it(family: str, cut: int, seed: int) -> None:
    """Drafts of the lower layers, verdicts of the upper ones, both or one of the two kept, against two plain lists."""
    rng, runner, plain = random.Random(seed), runner_of(family), runner_of(family)
    lower, upper = range(cut), range(cut, NUM_LAYERS)
    text: list[int] = []
    waiting: list[tuple[int, int]] = []
    states: list[Tensor] = []
    owed: list[Tensor] = []  # of tokens that the lower layers have kept and the upper ones have not seen
    num_above = 0

    def assert_lengths() -> None:
        assert {runner.lengths(layer) for layer in lower} == {(len(text), len(waiting))}
        assert {runner.lengths(layer) for layer in upper} == {(len(text) - len(owed), num_above)}
        assert runner.num_committed == len(text) - len(owed)
        assert runner.num_pending == max(len(waiting), num_above)

    for _ in range(12):
        turn = rng.choice(["draft", "verify", "keep both", "keep below", "drop", "skip"])
        if turn == "draft":
            rows = [
                (rng.randrange(VOCAB_SIZE), rng.randint(-1, len(waiting) + i - 1)) for i in range(rng.randint(1, 3))
            ]
            part = runner.extend([token for token, _ in rows], [parent for _, parent in rows], layers=lower)
            assert part.states is not None
            waiting += rows
            states += part.states.clone()
        elif turn == "verify" and owed:
            runner.extend(torch.stack(owed), range(-1, len(owed) - 1), layers=upper)
            runner.commit(range(len(owed)), upper)
            owed = []
        elif turn == "verify" and waiting[num_above:]:
            parents = [parent for _, parent in waiting[num_above:]]
            runner.extend(torch.stack(states[num_above:]), parents, layers=upper)
            num_above = len(waiting)
        elif turn.startswith("keep") and waiting:
            row, path = rng.randrange(len(waiting)), list[int]()
            while row >= 0:
                path, row = [row, *path], waiting[row][1]
            if turn == "keep both" and not owed and path[-1] < num_above:
                runner.commit(path)
            else:
                runner.commit(path, lower)
                runner.commit((), upper)
                owed += [states[row] for row in path]
            text += [waiting[row][0] for row in path]
            waiting, states, num_above = [], [], 0
        elif turn == "drop":
            runner.commit(())
            waiting, states, num_above = [], [], 0
        elif turn == "skip" and not waiting and not owed:
            runner.extend([1, 2], [-1, 0], skip={rng.randrange(NUM_LAYERS)})
            runner.commit(())
        assert_lengths()
    if owed:
        runner.commit((), lower)
        runner.extend(torch.stack(owed), range(-1, len(owed) - 1), layers=upper)
        runner.commit(range(len(owed)), upper)
    runner.commit(())
    for token in text:
        plain.extend([token], [-1])
        plain.commit([0])
    for layer in range(NUM_LAYERS) if text else ():
        assert all(torch.equal(own, wanted) for own, wanted in zip(runner.kv(layer), plain.kv(layer), strict=True))
    assert torch.equal(runner.extend([3], [-1]).logits, plain.extend([3], [-1]).logits)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_a_pass_that_its_layers_cannot_make_is_refused(family: str) -> None:
    runner = runner_of(family)
    runner.prefill([1, 2, 3])
    with pytest.raises(RunFailed, match="begins at layer 2 takes states"):
        runner.extend([1], [-1], layers=range(2, 4))
    with pytest.raises(RunFailed, match="has layers 0 to 3"):
        runner.extend([1], [-1], layers=range(2, 6))
    with pytest.raises(RunFailed, match=r"without \[0, 1, 2, 3\]"):
        runner.extend([1], [-1], skip=set(range(4)))
    with pytest.raises(RunFailed, match="does not see states before 3"):
        runner.extend([1], [-1], layers=range(2), hidden_layers=(3,))
    transfer: Any = SimpleNamespace(layers=(1,))
    with pytest.raises(RunFailed, match="Extra rows of layer 1"):
        runner.extend([1], [-1], layers=range(2), extra=ExtraRows(transfer, (0,), (1,)))
    runner.extend([1, 2], [-1, 0], layers=range(2))
    with pytest.raises(RunFailed, match="Layer 0 holds 3 tokens and 2 rows that wait, layer 2 3 and 0"):
        runner.extend([1], [-1])
    with pytest.raises(RunFailed, match="Row 1 cannot be kept: 0 rows wait in layer 2"):
        runner.commit((0, 1))


def test_a_family_whose_layers_give_more_than_states_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = runner_of("gpt2")
    block: Any = type(decoder_layers(runner.model)[0])
    forward = block.forward
    monkeypatch.setattr(block, "forward", lambda *args, **kwargs: (forward(*args, **kwargs), None))
    with pytest.raises(RunFailed, match="A gpt2 model cannot be cut into layers"):
        runner.extend(torch.zeros(1, 64), [-1], layers=range(1, 2))


def test_a_text_that_may_be_read_anew_cannot_begin_with_states() -> None:
    with pytest.raises(RunFailed, match="A phi3 model with LongRoPE"):
        runner_of("phi3_longrope").extend(torch.zeros(1, 64), [-1])


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("num_rows", [5, 150])
def test_a_prompt_may_be_states(family: str, num_rows: int) -> None:
    runner, text = runner_of(family), prompt_ids(num_rows)
    hidden = runner.prefill(text, (0, 4))
    wanted = runner.extend([1], [-1]).logits.clone()
    assert hidden is not None
    again = runner.prefill(hidden[0], (4,))
    assert again is not None
    assert torch.equal(again[0], hidden[1])
    assert torch.equal(runner.extend([1], [-1]).logits, wanted)
