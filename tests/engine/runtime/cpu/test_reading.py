"""A prompt read many rows at once: near what the compiled pass computes, and decoding goes on behind it."""

from __future__ import annotations

import pytest
import torch
import transformers
from toys import VOCAB_SIZE, build, prompt_ids, stock_logits

from engine.runtime.cpu import reading
from engine.runtime.runner import ModelRunner

ROOM = 1300
LAYERS = (0, 1, 2)
SIZES = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 64,
    "intermediate_size": 100,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": ROOM,
    "initializer_range": 0.1,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**SIZES),
    "qwen2": lambda: transformers.Qwen2Config(**SIZES),
    "qwen3": lambda: transformers.Qwen3Config(**SIZES, head_dim=24),
}
Found = tuple[list[tuple[torch.Tensor, torch.Tensor]], tuple[torch.Tensor, ...], torch.Tensor]


def runner_of(family: str = "llama", dtype: str = "float32") -> ModelRunner:
    return ModelRunner(build(CONFIGS[family](), dtype), ROOM, is_row_invariant=True)


def prefilled(runner: ModelRunner, text: list[int]) -> Found:
    """Keys and values, hidden states, and logits of two rows behind them."""
    hidden = runner.prefill(text, LAYERS)
    assert hidden is not None
    assert runner.num_committed == len(text)
    pairs = [runner.kv(layer) for layer in range(2)]
    return [(keys.clone(), values.clone()) for keys, values in pairs], hidden, runner.extend([1, 2], [-1, 0]).logits


def by_the_pass(runner: ModelRunner, text: list[int], monkeypatch: pytest.MonkeyPatch) -> Found:
    with monkeypatch.context() as patched:
        patched.setattr(reading, "FEWEST_ROWS", ROOM)
        patched.setattr(reading, "ROWS", 200)
        return prefilled(runner, text)


@pytest.mark.parametrize("num_tokens", [127, 128, 129, 300, 1023, 1024, 1025, 1100, 1152])
def test_it_is_near_what_the_pass_computes(num_tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, text = runner_of(), prompt_ids(num_tokens)
    found, wanted = prefilled(runner, text), by_the_pass(runner, text, monkeypatch)
    for one, other in zip(found[0], wanted[0], strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=2e-4)
    torch.testing.assert_close(found[1], wanted[1], atol=2e-4, rtol=2e-4)
    torch.testing.assert_close(found[2], wanted[2], atol=2e-4, rtol=2e-4)
    assert [len(layer) for layer in found[1]] == [num_tokens] * len(LAYERS)


@pytest.mark.parametrize("family", CONFIGS)
def test_it_is_near_transformers(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In blocks of 100 rows, the last of them a few that the pass reads itself."""
    monkeypatch.setattr(reading, "ROWS", 100)
    monkeypatch.setattr(reading, "FEWEST_ROWS", 20)
    text = prompt_ids(219)
    found = prefilled(runner_of(family), text)
    model = build(CONFIGS[family]())
    cache = transformers.DynamicCache()
    with torch.inference_mode():
        output = model(input_ids=torch.tensor([text]), past_key_values=cache, output_hidden_states=True)
    for layer, (keys, values) in enumerate(found[0]):
        torch.testing.assert_close(keys, cache.layers[layer].keys[0], atol=2e-4, rtol=2e-4)
        torch.testing.assert_close(values, cache.layers[layer].values[0], atol=2e-4, rtol=2e-4)
    for hidden, wanted in zip(found[1], output.hidden_states, strict=True):
        torch.testing.assert_close(hidden, wanted[0], atol=5e-4, rtol=5e-4)
    torch.testing.assert_close(found[2], stock_logits(model, [*text, 1, 2])[-2:], atol=5e-4, rtol=5e-4)


@pytest.mark.parametrize("is_fast", [True, False], ids=["the library in bfloat16", "in float32"])
def test_bfloat16_is_read_either_way(is_fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "has_fast_bf16", lambda: is_fast)
    runner, text = runner_of(dtype="bfloat16"), prompt_ids(150)
    found, wanted = prefilled(runner, text), by_the_pass(runner, text, monkeypatch)
    assert {numbers.dtype for pair in found[0] for numbers in pair} == {torch.bfloat16}
    for one, other in zip(found[0], wanted[0], strict=True):
        torch.testing.assert_close(one, other, atol=0.06, rtol=0.06)
    torch.testing.assert_close(found[2], wanted[2], atol=0.1, rtol=0.1)


def test_a_token_reads_nothing_behind_it() -> None:
    runner, first = runner_of(), prompt_ids(200)
    second = [*first[:150], *prompt_ids(50, seed=2)]
    (one, hidden, _), (other, other_hidden, _) = prefilled(runner, first), prefilled(runner, second)
    for (keys, values), (other_keys, other_values) in zip(one, other, strict=True):
        torch.testing.assert_close(keys[:, :150], other_keys[:, :150], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(values[:, :150], other_values[:, :150], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(hidden[2][:150], other_hidden[2][:150], atol=1e-5, rtol=1e-5)
    assert (hidden[2][150:] - other_hidden[2][150:]).abs().max() > 0.1


def test_the_same_prompt_is_read_to_the_same_bits() -> None:
    """Plain and drafted decoding each read it."""
    runner, text = runner_of(dtype="bfloat16"), prompt_ids(333)
    first = prefilled(runner, text)
    prefilled(runner, prompt_ids(600, seed=4))
    second = prefilled(runner, text)
    torch.testing.assert_close(second, first, atol=0, rtol=0)


def test_hidden_states_are_those_that_were_asked_for() -> None:
    runner, text = runner_of(), prompt_ids(140)
    every = runner.prefill(text, LAYERS)
    assert every is not None
    for asked in ((2,), (0,), (-1, 0), (1, 1), (-2, -3)):
        found = runner.prefill(text, asked)
        assert found is not None
        for layer, hidden in zip(asked, found, strict=True):
            assert torch.equal(hidden, every[layer % 3])
    assert runner.prefill(text) is None


@pytest.fixture
def tiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where tiles multiply; without them the same is computed a row at a time."""
    monkeypatch.setattr(reading.tiles, "can_read", lambda: True)


@pytest.mark.usefixtures("tiled")
@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("num_tokens", [128, 159, 161, 330])
def test_by_tiles_it_is_near_what_the_pass_computes(
    family: str, num_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, text = runner_of(family, "bfloat16"), prompt_ids(num_tokens)
    found, wanted = prefilled(runner, text), by_the_pass(runner, text, monkeypatch)
    for one, other in zip(found[0], wanted[0], strict=True):
        torch.testing.assert_close(one, other, atol=0.06, rtol=0.06)
    torch.testing.assert_close(found[1], wanted[1], atol=0.06, rtol=0.06)
    torch.testing.assert_close(found[2], wanted[2], atol=0.1, rtol=0.1)
    assert [len(layer) for layer in found[1]] == [num_tokens] * len(LAYERS)


@pytest.mark.usefixtures("tiled")
@pytest.mark.parametrize("family", CONFIGS)
def test_by_tiles_bits_depend_on_nothing_but_the_text_before(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on blocks and what follows, nor on threads, nor on whether tiles are there."""
    runner, text = runner_of(family, "bfloat16"), prompt_ids(333)
    wanted = prefilled(runner, text)
    for num_rows in (150, 204):
        with monkeypatch.context() as patched:
            patched.setattr(reading, "ROWS", num_rows)
            patched.setattr(reading, "FEWEST_ROWS", 2)
            torch.testing.assert_close(prefilled(runner, text), wanted, atol=0, rtol=0)
    with monkeypatch.context() as patched:
        patched.setattr(reading.tiles, "can_use", lambda: False)
        torch.testing.assert_close(prefilled(runner, text), wanted, atol=0, rtol=0)
    with monkeypatch.context() as patched:
        patched.setattr(type(reading.CREW), "size", 1)
        torch.testing.assert_close(prefilled(runner, text), wanted, atol=0, rtol=0)
    longer = prefilled(runner, [*text[:140], *prompt_ids(150, seed=2)])
    for pair, whole in zip(longer[0], wanted[0], strict=True):
        for part, other in zip(pair, whole, strict=True):
            assert torch.equal(part[:, :140], other[:, :140])


@pytest.mark.usefixtures("tiled")
def test_by_tiles_what_another_text_left_behind_is_not_seen() -> None:
    """A longer text's keys, values and rows are still in the memory that this one is read in."""
    runner, text = runner_of(dtype="bfloat16"), prompt_ids(170)
    wanted = prefilled(runner_of(dtype="bfloat16"), text)
    prefilled(runner, prompt_ids(900, seed=4))
    torch.testing.assert_close(prefilled(runner, text), wanted, atol=0, rtol=0)


def test_float32_is_read_by_the_library_where_tiles_multiply_too(tiled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_TiledBlock", None)
    runner = runner_of()
    runner.prefill(prompt_ids(300))
    assert runner.num_committed == 300
