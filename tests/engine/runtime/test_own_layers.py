"""Layers of given tensors run as a drafter needs them: states in, a tree of rows, a cache of their own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from toys import DTYPES, FAMILIES, build

from engine.errors import BadInput
from engine.runtime.layers import layers_of
from engine.runtime.runner import ModelRunner

PARENTS = (-1, 0, 0, 2, -1, 4, 3)
LONG = 100_000


def config_of() -> Any:
    config = FAMILIES["llama"]()
    config.num_hidden_layers = 1
    config.max_position_embeddings = LONG
    return config


def tensors_of(model: Any) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.model.state_dict().items() if name != "embed_tokens.weight"}


def states_of(num_rows: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(num_rows, 64, generator=torch.Generator().manual_seed(seed)).to(dtype)


@torch.inference_mode()
def plainly(model: Any, states: Tensor) -> Tensor:
    """What stands behind the final norm of a plain causal sequence's last row."""
    return model.model(inputs_embeds=states[None], use_cache=False).last_hidden_state[0, -1]  # type: ignore[no-any-return]


def path_to(row: int) -> list[int]:
    return [] if row < 0 else [*path_to(PARENTS[row]), row]


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_layer_runs_a_tree_of_states_behind_states_that_it_keeps(dtype: str) -> None:
    stock: Any = build(config_of(), dtype)
    runner = ModelRunner(layers_of(config_of(), tensors_of(build(config_of(), dtype))), LONG, is_row_invariant=True)
    before, tree = states_of(9, 1, DTYPES[dtype]), states_of(7, 2, DTYPES[dtype])
    runner.prefill(before)
    rows = runner.extend(tree, PARENTS, num_logits=0, hidden_layers=(1,))
    assert rows.hidden is not None
    assert rows.states is not None
    error = 1e-4 if dtype == "float32" else 0.05
    for row in range(7):
        wanted = plainly(stock, torch.cat((before, tree[path_to(row)])))
        torch.testing.assert_close(rows.hidden[0][row], wanted, atol=error, rtol=error)
    torch.testing.assert_close(stock.model.norm(rows.states.to(DTYPES[dtype])), rows.hidden[0], atol=error, rtol=error)
    runner.commit((0, 2, 3))
    more = states_of(1, 3, DTYPES[dtype])
    after = runner.extend(more, [-1], num_logits=0, hidden_layers=(1,))
    assert after.hidden is not None
    wanted = plainly(stock, torch.cat((before, tree[[0, 2, 3]], more)))
    torch.testing.assert_close(after.hidden[0][0], wanted, atol=error, rtol=error)
    assert runner._cache.capacity < 1000, "of a context of 100,000"


def test_layers_of_other_families_go_through_transformers() -> None:
    config = FAMILIES["stablelm"]()
    config.num_hidden_layers = 1
    stock: Any = build(config)
    runner = ModelRunner(layers_of(config, tensors_of(build(config))), 160, is_row_invariant=True)
    states = states_of(5, 4)
    found = runner.extend(states, range(-1, 4), num_logits=0, hidden_layers=(1,)).hidden
    assert found is not None
    torch.testing.assert_close(found[0][-1], plainly(stock, states), atol=1e-4, rtol=1e-4)


def test_tensors_that_do_not_fit_are_named() -> None:
    tensors = tensors_of(build(config_of()))
    wide = transformers.LlamaConfig(**{**config_of().to_dict(), "intermediate_size": 32, "dtype": None})
    with pytest.raises(BadInput, match=r"layers.0.mlp.down_proj.weight has size \(64, 96\); wanted \(64, 32\)"):
        layers_of(wide, tensors)
    del tensors["norm.weight"]
    with pytest.raises(BadInput, match=r"norm.weight has size none; wanted \(64,\)"):
        layers_of(config_of(), tensors)
    with pytest.raises(BadInput, match=r"fc.weight has size .* wanted none of this name"):
        layers_of(config_of(), {**tensors, "fc.weight": tensors["layers.0.mlp.down_proj.weight"]})
