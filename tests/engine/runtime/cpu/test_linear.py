"""Linear layers on the compiled product: shapes, dtypes, biases, and which models' rows keep their bits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from small_parts import drawn
from torch import nn
from toys import FAMILIES, build
from transformers.pytorch_utils import Conv1D

from engine.runtime.cpu import linear
from engine.runtime.cpu.linear import Product, product_of, threads_for
from engine.runtime.linear import are_row_invariant, pack, pack_linears
from engine.runtime.prompt import is_reading, many_rows

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
SHARES = {torch.float32: 1e-6, torch.bfloat16: 2**-8, torch.float16: 2**-10}


def exact(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    return nn.functional.linear(x.double(), weight.double(), None if bias is None else bias.double())


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (2, 0), (0,), (1, 2, 1, 5)], ids=str)
@pytest.mark.parametrize("has_bias", [False, True])
@every_dtype
def test_any_leading_dimensions(shape: tuple[int, ...], has_bias: bool, dtype: torch.dtype) -> None:
    x, weight = drawn(*shape, 37, dtype=dtype), drawn(45, 37, seed=1, dtype=dtype)
    bias = drawn(45, seed=2, dtype=dtype) if has_bias else None
    found = product_of(weight, bias)(x)
    assert found.shape == (*shape, 45)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), exact(x, weight, bias), atol=40 * SHARES[dtype], rtol=2 * SHARES[dtype])


@pytest.mark.parametrize("weight_dtype", DTYPES, ids=str)
@every_dtype
def test_a_result_has_its_inputs_dtype_whatever_the_weights(dtype: torch.dtype, weight_dtype: torch.dtype) -> None:
    x, weight = drawn(3, 20, dtype=dtype), drawn(9, 20, seed=1, dtype=weight_dtype)
    found = product_of(weight, None)(x)
    assert found.dtype == dtype
    share = max(SHARES[dtype], SHARES[weight_dtype])
    torch.testing.assert_close(found.double(), exact(x.to(weight_dtype), weight), atol=40 * share, rtol=2 * share)


def test_rows_that_do_not_stand_beside_each_other_are_read_as_they_are() -> None:
    x, layer = drawn(20, 3), product_of(drawn(9, 20, seed=1), None)
    assert torch.equal(layer(x.t()), layer(x.t().contiguous()))
    assert torch.equal(layer(x.t()[::2]), layer(x.t())[::2])


@every_dtype
def test_a_row_has_the_same_bits_in_any_company(dtype: torch.dtype) -> None:
    x, layer = (
        drawn(40, 70, dtype=dtype),
        product_of(drawn(33, 70, seed=1, dtype=dtype), drawn(33, seed=2, dtype=dtype)),
    )
    whole = layer(x)
    for first, end in ((0, 1), (5, 12), (7, 40), (39, 40)):
        assert torch.equal(layer(x[first:end]), whole[first:end])
    assert torch.equal(layer(x.view(4, 10, 70)).view(40, 33), whole)


@pytest.mark.parametrize("has_bias", [False, True])
@every_dtype
def test_many_rows_are_near_the_few(dtype: torch.dtype, has_bias: bool) -> None:
    x, weight = drawn(2, 150, 37, dtype=dtype), drawn(45, 37, seed=1, dtype=dtype)
    layer = product_of(weight, drawn(45, seed=2, dtype=dtype) if has_bias else None)
    few = layer(x)
    with many_rows():
        many = layer(x)
        with many_rows():
            pass
        assert torch.equal(layer(x), many), "still inside"
    assert torch.equal(layer(x), few)
    assert many.dtype == few.dtype
    torch.testing.assert_close(many, few, atol=40 * SHARES[dtype], rtol=4 * SHARES[dtype])


def test_a_failure_among_many_rows_ends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError), many_rows():
        raise ZeroDivisionError
    assert not is_reading()


@every_dtype
def test_weights_can_be_read_back(dtype: torch.dtype) -> None:
    weight = drawn(45, 37, dtype=dtype)
    assert torch.equal(product_of(weight, None).weight, weight)


def test_a_small_matrix_is_not_worth_a_second_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(linear.CREW), "size", property(lambda crew: 3))
    assert threads_for(product_of(drawn(32, 32), None).matrix) == 1
    assert threads_for(product_of(drawn(512, 512), None).matrix) == 3


def test_packing_replaces_linear_layers_of_either_kind() -> None:
    model = build(FAMILIES["gpt2"]())
    before = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)}
    states = drawn(4, 64)
    pack_linears(model)
    for name, module in before.items():
        packed = model.get_submodule(name)
        assert isinstance(packed, Product)
        x = states if packed.in_features == 64 else drawn(4, packed.in_features)
        torch.testing.assert_close(packed(x), module(x), atol=1e-4, rtol=1e-4)
    assert are_row_invariant(model)


def test_a_dtype_without_a_kernel_stays_a_torch_layer() -> None:
    weight, bias = drawn(5, 4).double(), drawn(5).double()
    layer = pack(weight, bias)
    assert isinstance(layer, nn.Linear)
    assert torch.equal(layer(drawn(2, 4).double()), nn.functional.linear(drawn(2, 4).double(), weight, bias))


def packed(config: Any) -> Any:
    model = build(config)
    pack_linears(model)
    return model


SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "pad_token_id": None,
}


@pytest.mark.parametrize(
    "config",
    [
        transformers.MixtralConfig(**SIZES, num_local_experts=4),
        transformers.Qwen3MoeConfig(**SIZES, num_experts=4, moe_intermediate_size=16, head_dim=16),
    ],
    ids=["mixtral", "qwen3_moe"],
)
def test_no_promise_is_made_for_a_mixture_of_experts(config: Any) -> None:
    assert not are_row_invariant(packed(config))


def test_no_promise_is_made_for_widths_with_a_remainder_or_for_layers_that_are_not_ours() -> None:
    assert are_row_invariant(packed(transformers.LlamaConfig(**SIZES)))
    assert not are_row_invariant(packed(transformers.LlamaConfig(**{**SIZES, "intermediate_size": 50})))
    assert not are_row_invariant(build(transformers.LlamaConfig(**SIZES)))
