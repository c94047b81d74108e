"""The KV cache of models that go through transformers: it grows in steps, each layer has a length of its own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from toys import FAMILIES, build, prompt_ids

from engine.runtime.cache import KVCache
from engine.runtime.runner import ModelRunner


def written(cache: KVCache, layer: int, num_rows: int, seed: int) -> Tensor:
    """Keys of rows that were written; their values are the negative of them."""
    keys = torch.randn(1, 2, num_rows, 4, generator=torch.Generator().manual_seed(seed))
    cache.update(keys, -keys, layer)
    return keys[0]


@pytest.mark.parametrize("is_for_kernel", [True, False])
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 300), st.booleans()), max_size=6))
def test_each_layer_holds_what_was_written_to_it(is_for_kernel: bool, turns: list[tuple[int, int, bool]]) -> None:
    cache, held = KVCache(3, is_for_kernel=is_for_kernel), [torch.zeros(2, 0, 4)] * 3
    for seed, (layer, num_rows, keeps_last) in enumerate(turns):
        start = held[layer].shape[1]
        cache.write_from(start, [layer])
        rows = written(cache, layer, num_rows, seed)
        kept = [start + num_rows - 1] if keeps_last else list(range(start, start + num_rows))
        cache.keep(start, kept, [layer])
        held[layer] = torch.cat((held[layer], rows[:, [row - start for row in kept]]), dim=1)
    for layer, wanted in enumerate(held):
        if wanted.shape[1]:
            keys, values = cache.read(layer, wanted.shape[1])
            assert torch.equal(keys, wanted)
            assert torch.equal(values, -wanted)


def test_it_grows_by_a_share_of_itself_and_not_to_the_context() -> None:
    config = FAMILIES["gpt_neox"]()
    config.max_position_embeddings = 100_000
    runner = ModelRunner(build(config), 100_000, is_row_invariant=True)
    cache, capacities = runner._cache, set()
    assert isinstance(cache, KVCache)
    for num_tokens in (10, 300, 700):
        runner.prefill(prompt_ids(num_tokens))
        runner.extend([1, 2], [-1, 0])
        capacities.add(cache.kv_layers[1].capacity)
    assert len(capacities) == 3
    assert max(capacities) < 2 * 700
