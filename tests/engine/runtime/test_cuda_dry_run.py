"""The roads of a CUDA device without one: every tensor is a fake that knows device, dtype and shape only."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from toys import FAMILIES, MAX_CONTEXT, VOCAB_SIZE, prompt_ids
from toys.fake_cuda import CUDA, fake_cuda

from engine.runtime.extra import ExtraRows
from engine.runtime.layers import layers_of
from engine.runtime.longrope import make_runner
from engine.runtime.passes import Rows
from engine.runtime.runner import ModelRunner

PARENTS = (-1, 0, 0, 2)


class Ahead:
    """One step that looks ahead from the second layer on."""

    layers = (1,)

    def states(self, steps: tuple[int, ...], owners: torch.Tensor) -> torch.Tensor:
        return owners.repeat_interleave(len(steps), dim=0)


def fake(config: Any) -> Any:
    """A model whose weights are fakes on the device; to be made in the fakes' mode."""
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                there = torch.empty_like(weight, device=CUDA)
                module._parameters[name] = torch.nn.Parameter(there, requires_grad=False)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty_like(buffer, device=CUDA)
    return model.eval()


def on_cuda(tensor: torch.Tensor | None, *shape: int) -> bool:
    return tensor is not None and tensor.device == CUDA and tuple(tensor.shape) == shape


def cut(runner: ModelRunner) -> Rows:
    """A tree through the lower layer, an early exit, and the rest of the way from states."""
    below = runner.extend(prompt_ids(4), PARENTS, layers=range(1))
    assert on_cuda(below.states, 4, 64)
    assert below.states is not None
    assert on_cuda(runner.scores(below.states), 4, VOCAB_SIZE)
    return runner.extend(below.states, PARENTS, layers=range(1, runner.num_layers), hidden_layers=(-1,))


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "phi3_longrope"])
def test_passes_through_some_layers_stay_on_the_device(family: str) -> None:
    with fake_cuda():
        runner = make_runner(fake(FAMILIES[family]()), MAX_CONTEXT, is_row_invariant=False)
        hidden = runner.prefill(prompt_ids(9), (0, -1))
        assert hidden is not None
        assert all(on_cuda(layer, 9, 64) for layer in hidden)
        rows = cut(runner)
        assert on_cuda(rows.logits, 4, VOCAB_SIZE)
        assert rows.hidden is not None
        assert on_cuda(rows.hidden[0], 4, 64)
        runner.commit((0, 2), range(1))
        runner.commit((0,), range(1, runner.num_layers))
        assert [runner.lengths(layer) for layer in range(2)] == [(11, 0), (10, 0)]
        keys, values = runner.kv(0)
        assert keys.device == values.device == CUDA
        assert (keys.shape[1], values.shape[1]) == (11, 11)


def test_skipped_layers_blocks_and_extra_rows_stay_on_the_device() -> None:
    with fake_cuda():
        runner = ModelRunner(fake(FAMILIES["llama"]()), MAX_CONTEXT, is_row_invariant=False)
        assert not runner.uses_transformers
        assert on_cuda(runner.extend([1, 2], (-1, 0), skip={1}, num_logits=1).logits, 1, VOCAB_SIZE)
        runner.commit(())
        assert on_cuda(runner.extend([5, 5], (-1, 0), is_block=True).logits, 2, VOCAB_SIZE)
        runner.commit(())
        rows = runner.extend([1, 2], (-1, 0), extra=ExtraRows(Ahead(), (0, 1), (1, 1)))
        assert on_cuda(rows.logits, 2, VOCAB_SIZE)
        assert rows.extra is not None
        assert on_cuda(rows.extra.states(), 2, 64)


def test_a_layer_of_ones_own_is_fed_with_states_on_the_device() -> None:
    with fake_cuda():
        config: Any = FAMILIES["llama"]()
        config.num_hidden_layers = 1
        tensors = dict(fake(config).model.state_dict())
        del tensors["embed_tokens.weight"]
        runner = ModelRunner(layers_of(config, tensors), 100_000, is_row_invariant=False)
        runner.prefill(torch.zeros(9, 64, dtype=torch.bfloat16, device=CUDA))
        rows = runner.extend(
            torch.zeros(4, 64, dtype=torch.bfloat16, device=CUDA), PARENTS, num_logits=0, hidden_layers=(1,)
        )
        assert on_cuda(rows.states, 4, 64)
        runner.commit((0, 2, 3))
        assert runner.lengths(0) == (12, 0)
