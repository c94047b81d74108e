"""Compiled products of a few rows: right for both kinds of numbers, and a row's bits are its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.runtime.cpu.small_products import MOST_BYTE, linear, packed, packed_small, row_buffer
from engine.runtime.cpu.threads import compiled_threads

DTYPES = [torch.float32, torch.bfloat16]


def product(x: torch.Tensor, weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    rows, found = row_buffer(*x.shape), row_buffer(len(x), len(weight))
    rows[: len(x), : x.shape[1]] = x.numpy()
    with compiled_threads():
        linear(rows, len(x), packed(weight, dtype), found)
    return torch.from_numpy(found[: len(x), : len(weight)].copy())


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("num_rows", "width", "num_columns"), [(1, 16, 16), (4, 64, 300), (9, 50, 128), (3, 7, 5)])
def test_it_is_the_product_with_the_weights_as_they_are(
    num_rows: int, width: int, num_columns: int, dtype: torch.dtype
) -> None:
    x, weight = drawn(num_rows, width), drawn(num_columns, width)
    wanted = x.double() @ weight.to(dtype).double().mT
    torch.testing.assert_close(product(x, weight, dtype).double(), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_has_the_same_bits_among_others(dtype: torch.dtype) -> None:
    x, weight = drawn(9, 40), drawn(130, 40)
    whole = product(x, weight, dtype)
    for row in range(len(x)):
        assert torch.equal(product(x[row : row + 1], weight, dtype)[0], whole[row])


def test_bfloat16_takes_half_the_memory() -> None:
    weight = drawn(128, 32)
    assert 2 * packed(weight, torch.bfloat16).nbytes == packed(weight).nbytes == 4 * weight.numel()
    assert packed(weight, torch.bfloat16).dtype == np.uint16


def test_bytes_take_a_quarter_and_their_results_are_right_to_half_a_step_of_each_weight() -> None:
    x, weight = drawn(3, 40), drawn(130, 40)
    numbers, scales = packed_small(weight, torch.bfloat16)
    assert numbers.dtype == np.int8
    assert numbers.nbytes == packed(weight).nbytes // 4
    rows, found = row_buffer(3, 40), row_buffer(3, 130)
    rows[:3, :40] = x.numpy()
    with compiled_threads():
        linear(rows, 3, numbers, found)
    bound = x.abs().sum(dim=1)[:, None] * weight.abs().amax(dim=1) / MOST_BYTE / 2
    error = torch.from_numpy(found[:3, :130] * scales) - x @ weight.mT
    assert (error.abs() <= bound + 1e-4).all()


def test_weights_of_float32_stay_as_they_are() -> None:
    weight = drawn(130, 40)
    numbers, scales = packed_small(weight, torch.float32)
    assert np.array_equal(numbers, packed(weight))
    assert (scales == 1).all()


def test_a_row_of_zeros_gives_zeros() -> None:
    numbers, scales = packed_small(torch.zeros(4, 8), torch.bfloat16)
    assert not numbers.any()
    assert np.isfinite(scales).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_several_weights_are_packed_as_each_alone(dtype: torch.dtype) -> None:
    weights = drawn(2, 3, 130, 40)
    numbers, scales = packed_small(weights, dtype)
    for place in np.ndindex(2, 3):
        alone, its_scales = packed_small(weights[place], dtype)
        assert np.array_equal(numbers[place], alone)
        assert np.array_equal(scales[place], its_scales)
    assert packed_small(weights[:0], dtype)[0].shape == (0, 3, 2, 40, 128)
