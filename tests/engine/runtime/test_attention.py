"""Row-invariant attention: close to the formula in float64, and the same bits however a row is asked for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.runtime.attention import attend_fused, attend_row_invariant
from engine.runtime.cache import KVLayer

SHAPES = st.tuples(
    st.integers(1, 9),  # rows
    st.sampled_from([(1, 1), (3, 1), (4, 2), (6, 6)]),  # heads, heads of keys
    st.sampled_from([4, 6, 16, 63, 64]),  # dimensions of a head
    st.integers(1, 70),  # columns
    st.integers(0, 2**31),  # seed
)


def numbers(shape: tuple[int, tuple[int, int], int, int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query, keys, values and a mask in which each row looks somewhere."""
    num_rows, (num_heads, num_kv_heads), dim, num_columns, seed = shape
    generator = torch.Generator().manual_seed(seed)
    query = 3 * torch.randn(num_rows, num_heads, dim, generator=generator)
    keys, values = torch.randn(2, num_kv_heads, num_columns, dim, generator=generator)
    mask = torch.rand(num_rows, num_columns, generator=generator) < 0.6
    mask[torch.arange(num_rows), torch.randint(num_columns, (num_rows,), generator=generator)] = True
    return query, keys, values, mask


def by_formula(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, softcap: float = 0.0) -> Tensor:
    group = query.shape[1] // keys.shape[0]
    keys, values = (part.double().repeat_interleave(group, dim=0) for part in (keys, values))
    scores = torch.einsum("mhd,htd->hmt", query.double(), keys) / math.sqrt(query.shape[2])
    if softcap:
        scores = torch.tanh(scores / softcap) * softcap
    return torch.einsum("hmt,htd->mhd", scores.masked_fill(~mask, -torch.inf).softmax(-1), values)


@settings(max_examples=60)
@given(SHAPES, st.sampled_from([0.0, 5.0]))
def test_it_is_the_formula(shape: tuple[int, tuple[int, int], int, int, int], softcap: float) -> None:
    query, keys, values, mask = numbers(shape)
    found = attend_row_invariant(query, keys, values, mask, softcap=softcap or None)
    torch.testing.assert_close(found.double(), by_formula(query, keys, values, mask, softcap), rtol=1e-5, atol=2e-6)


@settings(max_examples=150)
@given(SHAPES, st.data())
def test_a_row_is_the_same_bits_alone_and_with_its_keys_elsewhere(
    shape: tuple[int, tuple[int, int], int, int, int], data: st.DataObject
) -> None:
    query, keys, values, mask = numbers(shape)
    whole = attend_row_invariant(query, keys, values, mask)
    row = data.draw(st.integers(0, shape[0] - 1))
    seen = mask[row].nonzero()[:, 0]
    alone = attend_row_invariant(query[row : row + 1], keys[:, seen], values[:, seen], None)
    assert torch.equal(alone[0], whole[row])
    first = data.draw(st.integers(0, row))
    assert torch.equal(attend_row_invariant(query[first:], keys, values, mask[first:]), whole[first:])


def test_threads_change_no_bit() -> None:
    query, keys, values, mask = numbers((9, (6, 6), 64, 70, 0))
    before = torch.get_num_threads()
    found = []
    try:
        for num_threads in (1, 2):
            torch.set_num_threads(num_threads)
            found.append(attend_row_invariant(query, keys, values, mask))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_a_cache_made_for_it_is_read_in_place() -> None:
    query, keys, values, mask = numbers((3, (4, 2), 16, 20, 0))
    layer = KVLayer(is_for_kernel=True)
    layer.update(keys[None], values[None])
    layer.keys[:, :, 20:], layer.values[:, :, 20:] = torch.nan, torch.nan  # rows that nobody may look at
    found = attend_row_invariant(query, layer.keys[0, :, :20], layer.values[0, :, :20], mask)
    assert torch.equal(found, attend_row_invariant(query, keys, values, mask))


@pytest.mark.parametrize("part", ["query", "keys", "values"])
def test_what_is_not_a_number_stays_so(part: str) -> None:
    query, keys, values, mask = numbers((1, (1, 1), 8, 12, 0))
    {"query": query, "keys": keys, "values": values}[part][..., 0] = torch.nan
    assert attend_row_invariant(query, keys, values, torch.ones_like(mask)).isnan().any()


def test_high_scores_do_not_overflow() -> None:
    query, keys, values, _ = numbers((2, (1, 1), 8, 12, 0))
    found = attend_row_invariant(1e4 * query, keys, values, None)
    assert found.isfinite().all()
    best = (query[:, 0] @ keys[0].T).argmax(dim=1)
    np.testing.assert_allclose(found[:, 0], values[0, best], rtol=1e-5)


def test_fused_attention_caps_scores_as_the_row_invariant_one_does() -> None:
    query, keys, values, mask = numbers((5, (4, 2), 16, 20, 0))
    capped, exact = (attend(query, keys, values, mask, None, 5.0) for attend in (attend_fused, attend_row_invariant))
    torch.testing.assert_close(capped, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num_heads", [(8, 4), (8, 8), (8, 1)])
@pytest.mark.parametrize("num_rows", [1, 5])
def test_fused_attention_reads_a_kernels_output_in_any_order_of_memory(
    num_rows: int, num_heads: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some kernels of a GPU give (batch, rows, heads, d) transposed, which cannot be viewed in another shape."""
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(num_rows, num_heads[0], 16, generator=generator)
    keys, values = (torch.randn(num_heads[1], 9, 16, generator=generator) for _ in range(2))
    mask = torch.rand(num_rows, 9, generator=generator) < 0.7
    mask[:, 0] = True
    wanted = attend_row_invariant(query, keys, values, mask)
    kernel = torch.nn.functional.scaled_dot_product_attention

    def rows_before_heads(*args: Tensor, **more: Any) -> Tensor:
        return kernel(*args, **more).transpose(1, 2).contiguous().transpose(1, 2)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", rows_before_heads)
    torch.testing.assert_close(attend_fused(query, keys, values, mask), wanted, atol=1e-5, rtol=1e-5)
