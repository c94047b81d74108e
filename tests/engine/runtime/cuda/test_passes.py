"""Static passes against stock transformers: masks, positions, cache, layers, extra rows; and what is captured."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toys import FAMILIES, MAX_CONTEXT, VOCAB_SIZE, WINDOW, build, prompt_ids, stock_logits, trees
from toys.families import sizes
from toys.static_passes import FEW, Replays, run_static

from engine.runtime.cuda import layers
from engine.runtime.extra import ExtraRows
from engine.runtime.layers import layers_of
from engine.runtime.runner import ModelRunner
from engine.tree import DraftTree

SLIDING = {"use_sliding_window": True, "sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
CONFIGS: dict[str, Any] = {
    "llama": FAMILIES["llama"],
    "qwen2": FAMILIES["qwen2"],
    "qwen3": FAMILIES["qwen3"],
    "mistral": FAMILIES["mistral"],
    "qwen3 with windows": lambda: transformers.Qwen3Config(**sizes(head_dim=16, **SLIDING)),
    "llama 3's rope": lambda: transformers.LlamaConfig(
        **sizes(
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 10_000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            }
        )
    ),
}
PARENTS = (-1, 0, 0, 2)
every_config = pytest.mark.parametrize("name", CONFIGS)
close = {"atol": 1e-4, "rtol": 1e-4}


def runner_of(name: str, dtype: str = "float32") -> ModelRunner:
    runner = ModelRunner(build(CONFIGS[name](), dtype), MAX_CONTEXT, is_row_invariant=False)
    assert not runner.uses_transformers
    assert not runner.is_row_invariant
    return runner


def wanted(name: str, text: list[int]) -> torch.Tensor:
    return stock_logits(build(CONFIGS[name]()), text)


def rows_of(root: int, tree: DraftTree) -> tuple[list[int], list[int]]:
    return [root, *tree.tokens], [-1, *(parent + 1 for parent in tree.parents)]


@every_config
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees(vocab_size=VOCAB_SIZE), st.integers(0, 2 * FEW))
def test_a_node_sees_what_a_plain_sequence_of_its_path_sees(
    static: Replays, name: str, tree: DraftTree, num_before: int
) -> None:
    runner, before = runner_of(name), prompt_ids(num_before)
    runner.prefill(before)
    logits = runner.extend(*rows_of(3, tree)).logits
    assert len(logits) == len(tree) + 1
    for node in range(-1, len(tree)):
        path = [tree.tokens[i] for i in tree.path_to(node)]
        torch.testing.assert_close(logits[node + 1], wanted(name, [*before, 3, *path])[-1], **close)


@every_config
def test_a_growing_cache_keeps_accepted_paths_and_nothing_else(static: Replays, name: str) -> None:
    runner, fresh, rng = runner_of(name), runner_of(name), random.Random(0)
    text = prompt_ids(3)
    runner.prefill(text)
    lengths = set()
    for _ in range(12):
        parents = tuple(rng.randint(-1, i - 1) for i in range(10))
        tree = DraftTree(tuple(rng.randrange(VOCAB_SIZE) for _ in parents), parents)
        root, path = rng.randrange(VOCAB_SIZE), tree.path_to(max(range(10), key=lambda i: tree.depths[i]))
        runner.extend(*rows_of(root, tree))
        runner.commit((0, *(node + 1 for node in path)))
        text += [root, *(tree.tokens[node] for node in path)]
        lengths.add(runner._cache.room.capacity)
    assert len(lengths) > 1, "a border of the buckets was crossed"
    fresh.prefill(text)
    for layer in range(2):
        for kept, other in zip(runner.kv(layer), fresh.kv(layer), strict=True):
            torch.testing.assert_close(kept, other, atol=1e-5, rtol=1e-5)
    logits = runner.extend([9], [-1]).logits[0]
    torch.testing.assert_close(logits, wanted(name, [*text, 9])[-1], **close)


@every_config
def test_a_prompt_is_read_in_blocks(static: Replays, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.runtime.cuda.reading.ROWS", 7)
    runner, text, told = runner_of(name), prompt_ids(33), list[torch.Tensor]()
    hidden = runner.prefill(text[:32], (0, -1), told.append)
    assert hidden is not None
    assert [layer.shape for layer in hidden] == [(32, 64)] * 2
    torch.testing.assert_close(torch.cat(told), wanted(name, text[:32]), **close)
    logits = runner.extend(text[32:], [-1], hidden_layers=(-1,))
    torch.testing.assert_close(logits.logits[0], wanted(name, text)[-1], **close)


def test_rows_may_join_those_that_wait_and_only_some_are_scored(static: Replays) -> None:
    runner, text = runner_of("qwen3 with windows"), prompt_ids(9)
    runner.prefill(text)
    runner.extend([1], [-1])
    runner.extend([2, 3], [0, 0])
    logits = runner.extend([4, 5], [2, 3], num_logits=1).logits
    assert len(logits) == 1
    torch.testing.assert_close(logits[0], wanted("qwen3 with windows", [*text, 1, 3, 4, 5])[-1], **close)


def test_passes_through_some_layers_add_up_and_can_be_left_out(static: Replays) -> None:
    runner, text = runner_of("llama"), prompt_ids(9)
    runner.prefill(text)
    whole = runner.extend([1, 2, 3, 4], PARENTS, hidden_layers=(1,))
    runner.commit(())
    below = runner.extend([1, 2, 3, 4], PARENTS, layers=range(1))
    assert below.states is not None
    assert whole.hidden is not None
    assert torch.equal(below.states, whole.hidden[0])
    assert torch.equal(runner.extend(below.states, PARENTS, layers=range(1, 2)).logits, whole.logits)
    runner.commit((0, 2), range(1))
    runner.commit((0,), range(1, 2))
    assert [runner.lengths(layer)[0] for layer in range(2)] == [11, 10]
    early = runner.scores(below.states)
    runner.reset()
    runner.prefill(text)
    torch.testing.assert_close(runner.extend([1, 2, 3, 4], PARENTS, skip={1}).logits, early, **close)


def test_rows_of_a_block_see_one_another(static: Replays) -> None:
    runner = runner_of("llama")
    runner.prefill(prompt_ids(5))
    first = runner.extend([1, 2, 3], (-1, 0, 1), is_block=True).logits[0]
    runner.commit(())
    assert not torch.allclose(first, runner.extend([1, 2, 3], (-1, 0, 1)).logits[0], atol=1e-3)


class Ahead:
    """Two steps, entering at different layers."""

    layers = (1, 0)

    def states(self, steps: tuple[int, ...], owners: torch.Tensor) -> torch.Tensor:
        return owners.repeat_interleave(len(steps), dim=0) + 0.5


def test_extra_rows_see_what_they_see_through_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    extra, found = ExtraRows(Ahead(), (0, 0, 2), (1, 2, 1)), []
    for is_static in (False, True):
        if is_static:
            run_static(monkeypatch, is_captured=True)
        runner = ModelRunner(build(FAMILIES["llama"]()), MAX_CONTEXT, is_row_invariant=False)
        runner.prefill(prompt_ids(20))
        rows = runner.extend([1, 2, 3, 4], PARENTS, extra=extra, hidden_layers=(1,))
        runner.commit((0, 2))
        assert rows.extra is not None
        assert rows.hidden is not None
        found.append((rows.logits, rows.extra.states(), rows.hidden[0], runner.extend([5], [-1]).logits))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one.float(), other, **close)


def test_more_rows_than_the_largest_bucket_are_a_pass_of_their_own(static: Replays) -> None:
    runner, text = runner_of("llama"), prompt_ids(MAX_CONTEXT - 10)
    logits = runner.extend(text, range(-1, len(text) - 1)).logits
    torch.testing.assert_close(logits, wanted("llama", text), **close)
    assert static.num_captured == 0


def test_a_layer_of_ones_own_is_fed_with_states(static: Replays) -> None:
    model: Any = build(FAMILIES["llama"]())
    tensors = {name: tensor for name, tensor in model.model.state_dict().items() if name != "embed_tokens.weight"}
    runner = ModelRunner(layers_of(model.config, tensors), MAX_CONTEXT, is_row_invariant=False)
    assert not runner.uses_transformers
    states = model.model.embed_tokens(torch.tensor(prompt_ids(9)))
    runner.prefill(states[:7])
    rows = runner.extend(states[7:], (-1, 0), num_logits=0, hidden_layers=(2,))
    assert rows.hidden is not None
    found = model.lm_head(rows.hidden[0])
    torch.testing.assert_close(found, wanted("llama", prompt_ids(9))[7:], **close)


def test_each_bucket_is_captured_once_and_serves_the_next_session(monkeypatch: pytest.MonkeyPatch) -> None:
    replays = run_static(monkeypatch, is_captured=True, first_length=64)
    runner = runner_of("llama")
    for session in range(2):
        runner.prefill(prompt_ids(9))
        for num_rows in (1, 2, 3, 4, 1, 7):
            runner.extend([0] * num_rows, [-1] * num_rows)
            runner.commit((0,))
        assert replays.num_captured == 4, f"rows 1, 2, 4 and 8, session {session}"
    model = runner.model
    del runner
    other = ModelRunner(model, MAX_CONTEXT, is_row_invariant=False)
    other.prefill(prompt_ids(9))
    other.extend([0], [-1])
    assert replays.num_captured == 4
    second = ModelRunner(model, MAX_CONTEXT, is_row_invariant=False)
    second.extend([0], [-1])
    assert replays.num_captured == 5, "a session beside another has a room of its own"


def test_what_a_pass_gave_stays_when_the_next_has_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run_static(monkeypatch, is_captured=True)
    runner = runner_of("llama")
    first = runner.extend([1], [-1], hidden_layers=(-1,))
    assert first.hidden is not None
    kept = first.logits.clone(), first.hidden[0].clone()
    runner.commit((0,))
    runner.extend([2], [-1], hidden_layers=(-1,))
    assert torch.equal(first.logits, kept[0])
    assert torch.equal(first.hidden[0], kept[1])


def test_fused_weights_are_the_models_own(static: Replays) -> None:
    model: Any = build(FAMILIES["qwen2"]())
    text = prompt_ids(6)
    before = stock_logits(model, text)
    runner = ModelRunner(model, MAX_CONTEXT, is_row_invariant=False)
    decoder: Any = runner._decoder
    layer, attention = decoder.weights.layers[0], model.model.layers[0].self_attn
    for name, fused in (("weight", layer.qkv), ("bias", layer.qkv_bias)):
        parts = (getattr(getattr(attention, f"{part}_proj"), name) for part in "qkv")
        assert {part.untyped_storage().data_ptr() for part in parts} == {fused.untyped_storage().data_ptr()}
    assert torch.equal(stock_logits(model, text), before)


REASONS: dict[str, tuple[Any, str]] = {
    "another family": (FAMILIES["gpt2"], "the gpt2 family has no static pass"),
    "moving frequencies": (
        lambda: transformers.LlamaConfig(**sizes(rope_parameters={"rope_type": "dynamic", "factor": 2.0})),
        r"its rotary embedding \(dynamic\)",
    ),
    "biases": (lambda: transformers.LlamaConfig(**sizes(mlp_bias=True)), "parts that the static pass leaves out"),
}


@pytest.mark.parametrize("name", REASONS)
def test_what_no_static_pass_can_run_goes_through_transformers_with_a_reason(static: Replays, name: str) -> None:
    config, reason = REASONS[name]
    runner = ModelRunner(build(config()), MAX_CONTEXT, is_row_invariant=False)
    assert runner.uses_transformers
    assert re.search(reason, runner.why_eager)


def test_where_nothing_is_static_nobody_is_told_of_it() -> None:
    assert ModelRunner(build(FAMILIES["gpt2"]()), MAX_CONTEXT, is_row_invariant=True).why_eager == ""


def test_a_kernels_output_may_be_in_any_order_of_memory(static: Replays, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several kernels of CUDA give rows before heads; on most cards nothing else is chosen."""
    attend = layers.functional.scaled_dot_product_attention

    def other_order(*given: Any, **more: Any) -> torch.Tensor:
        return attend(*given, **more).transpose(1, 2).contiguous().transpose(1, 2)

    monkeypatch.setattr(layers.functional, "scaled_dot_product_attention", other_order)
    runner, text = runner_of("llama"), prompt_ids(9)
    runner.prefill(text)
    torch.testing.assert_close(runner.extend([1, 2], (-1, 0)).logits[1], wanted("llama", [*text, 1, 2])[-1], **close)
