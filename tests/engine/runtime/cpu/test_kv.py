"""Keys and values of a session: what is written is read, what is kept is moved, and no more is held than is needed."""

from __future__ import annotations

import tracemalloc

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from small_parts import BITS, drawn
from toys import build, prompt_ids

from engine.runtime.cpu.attention import STEP
from engine.runtime.cpu.kv import CompiledCache
from engine.runtime.cpu.rotary import RotaryTables
from engine.runtime.runner import ModelRunner

LAYERS, HEADS = 2, 3
dtypes = st.sampled_from(list(BITS))
head_dims = st.sampled_from([2, 8, 16, 18, 64])


def filled(num_columns: int, head_dim: int, dtype: torch.dtype) -> tuple[CompiledCache, torch.Tensor]:
    """A cache with so many columns; keys and values (2, layers, heads, t, d) that stand in it."""
    cache = CompiledCache(LAYERS, HEADS, head_dim, dtype)
    numbers = drawn(2, LAYERS, HEADS, num_columns, head_dim, dtype=dtype)
    cache.reserve(num_columns)
    for layer in range(LAYERS):
        cache.write(layer, 0, *numbers[:, layer])
    return cache, numbers


def read(cache: CompiledCache, num_columns: int) -> torch.Tensor:
    return torch.stack([torch.stack(cache.read(layer, num_columns)) for layer in range(LAYERS)], dim=1)


@given(st.integers(1, 80), head_dims, dtypes, st.integers(0, 80))
def test_what_is_written_is_read(num_columns: int, head_dim: int, dtype: torch.dtype, start: int) -> None:
    cache, numbers = filled(num_columns, head_dim, dtype)
    assert torch.equal(read(cache, num_columns), numbers)
    more = drawn(2, LAYERS, HEADS, 7, head_dim, seed=1, dtype=dtype)
    start = min(start, num_columns)
    cache.reserve(start + 7)
    for layer in range(LAYERS):
        cache.write(layer, start, *more[:, layer])
    wanted = torch.cat([numbers[..., :start, :], more, numbers[..., start + 7 :, :]], dim=-2)
    assert torch.equal(read(cache, max(num_columns, start + 7)), wanted)


@settings(max_examples=25)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=3), head_dims, dtypes)
def test_growth_keeps_what_stands_there(sizes: list[int], head_dim: int, dtype: torch.dtype) -> None:
    cache, numbers = filled(19, head_dim, dtype)
    for size in sizes:
        before = cache.capacity
        cache.reserve(size)
        assert cache.capacity >= max(size, before)
        assert cache.capacity % STEP == 0
        assert cache.keys.shape[2] * 16 == cache.values.shape[2] == cache.capacity
        assert torch.equal(read(cache, 19), numbers)
        assert not read(cache, cache.capacity)[..., 19:, :].any(), "new columns are zeros, not what was in memory"


def test_it_grows_by_a_share_of_itself() -> None:
    """So that a text of n tokens is copied about once, not n times."""
    cache, capacities = CompiledCache(1, 1, 2, torch.float32), set()
    for length in range(1, 20_000, 50):
        cache.reserve(length)
        capacities.add(cache.capacity)
    assert len(capacities) < 15
    assert cache.capacity <= 1.6 * 20_000


@settings(max_examples=60)
@given(st.data(), head_dims, dtypes)
def test_a_path_is_moved_to_where_the_text_goes_on(data: st.DataObject, head_dim: int, dtype: torch.dtype) -> None:
    num_columns = data.draw(st.integers(1, 70))
    start = data.draw(st.integers(0, num_columns))
    rows = sorted(data.draw(st.sets(st.integers(start, num_columns - 1)))) if start < num_columns else []
    cache, numbers = filled(num_columns, head_dim, dtype)
    cache.keep(start, rows, range(LAYERS))
    wanted = torch.cat([numbers[..., :start, :], numbers[..., rows, :]], dim=-2)
    assert torch.equal(read(cache, start + len(rows)), wanted)


def test_a_path_of_some_layers_is_moved_in_these_alone() -> None:
    cache, numbers = filled(20, 8, torch.float32)
    cache.keep(3, [5, 9], [1])
    assert torch.equal(read(cache, 20)[:, 0], numbers[:, 0])
    assert torch.equal(read(cache, 5)[:, 1, :, 3:], numbers[:, 1, :, [5, 9]])


def test_numbers_are_kept_as_the_model_has_them() -> None:
    for dtype, bits in BITS.items():
        cache = CompiledCache(1, 2, 8, dtype)
        cache.reserve(300)
        assert cache.keys.dtype == cache.values.dtype == bits
        assert cache.read(0, 3)[0].dtype == dtype


@pytest.mark.parametrize("num_tokens", [10, 140])
def test_a_short_prompt_in_a_long_context_takes_little_memory(num_tokens: int) -> None:
    long = 262_144
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=64, max_position_embeddings=long, head_dim=128, **sizes)

    def decode() -> None:
        runner = ModelRunner(build(config), long, is_row_invariant=True)
        runner.prefill(prompt_ids(num_tokens))
        runner.extend([1, 2], [-1, -1])
        runner.commit([1])

    decode()  # loops are compiled
    tracemalloc.start()
    try:
        decode()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10_000_000, "bytes that numpy has asked for"


def test_rotary_tables_are_made_as_far_as_a_session_comes() -> None:
    model = build(transformers.LlamaConfig(vocab_size=8, hidden_size=64, intermediate_size=8, num_hidden_layers=1,
                                           num_attention_heads=2, max_position_embeddings=262_144))  # fmt: skip
    tables = RotaryTables(model)
    tables.at([0, 5, 9])
    assert len(tables._cos) <= 1024
    tables.at([700])
    assert len(tables._cos) <= 2048


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cache_that_grows_keeps_its_keys_and_values(dtype: torch.dtype) -> None:
    cache = CompiledCache(2, 3, 8, dtype)
    cache.reserve(20)
    keys, values = torch.randn(2, 3, 20, 8).to(dtype)
    cache.write(1, 0, keys, values)
    cache.reserve(cache.capacity + 1)
    for own, wanted in zip(cache.read(1, 20), (keys, values), strict=True):
        assert torch.equal(own, wanted)
