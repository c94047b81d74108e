"""Which models are compiled, and that a compiled one computes what transformers does."""

from __future__ import annotations

import copy
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import transformers
from toys import VOCAB_SIZE, build, prompt_ids, stock_logits
from toys.families import sizes
from transformers import PreTrainedModel

from engine.runtime.cpu import decoder
from engine.runtime.cpu.decoder import interleaved, looks_of, supports
from engine.runtime.cpu.memory import Memory
from engine.runtime.cpu.products import COLUMNS
from engine.runtime.prepared import prepare
from engine.runtime.runner import ModelRunner

MISTRAL, QWEN2, QWEN3, LLAMA = (
    transformers.MistralConfig,
    transformers.Qwen2Config,
    transformers.Qwen3Config,
    transformers.LlamaConfig,
)


def config_of(kind: Any = LLAMA, **more: Any) -> Any:
    return kind(**{**sizes(max_position_embeddings=256), **more})


def loud(model: PreTrainedModel) -> PreTrainedModel:
    """Norms and biases that are not ones and zeros, so that a forgotten one is seen."""
    generator = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter.dtype) / 2)
    return model


def with_head_bias(model: Any) -> Any:
    bias = torch.randn(len(model.lm_head.weight), generator=torch.Generator().manual_seed(6))
    model.lm_head.bias = torch.nn.Parameter(bias.to(model.dtype), requires_grad=False)
    return model


ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
SUPPORTED: dict[str, Any] = {
    "llama": config_of(),
    "mistral": config_of(MISTRAL, sliding_window=None),
    "qwen2, biases": config_of(QWEN2),
    "qwen3, head norms": config_of(QWEN3, head_dim=16),
    "tied embeddings": config_of(tie_word_embeddings=True),
    "one key head": config_of(num_key_value_heads=1),
    "no shared key heads": config_of(num_key_value_heads=4),
    "three queries a key head": config_of(hidden_size=48, num_attention_heads=6, head_dim=8),
    "heads of 8": config_of(head_dim=8),
    "heads of 80": config_of(head_dim=80),
    "heads of 128": config_of(head_dim=128),
    "head norms of 20": config_of(QWEN3, head_dim=20),
    "heads of 2": config_of(head_dim=2),
    "odd sizes": config_of(
        hidden_size=50, intermediate_size=37, vocab_size=61, num_attention_heads=5, num_key_value_heads=1, head_dim=10
    ),
    "one layer": config_of(num_hidden_layers=1),
    "linear rope": config_of(rope_parameters={**ROPE, "rope_type": "linear", "factor": 2.0}),
}
REFUSED: dict[str, Any] = {
    "bias of the attention's output": config_of(attention_bias=True),
    "biases of the gated part": config_of(mlp_bias=True),
    "another activation": config_of(hidden_act="gelu"),
    "dynamic rope": config_of(rope_parameters={**ROPE, "rope_type": "dynamic", "factor": 2.0}),
    "yarn rope": config_of(rope_parameters={**ROPE, "rope_type": "yarn", "factor": 2.0}),
    "a part of each head turned": config_of(rope_parameters={**ROPE, "partial_rotary_factor": 0.5}),
    "sliding layers": config_of(
        QWEN2, use_sliding_window=True, sliding_window=8, layer_types=["full_attention", "sliding_attention"]
    ),
    "another family": transformers.GPT2Config(vocab_size=VOCAB_SIZE, n_embd=32, n_layer=1, n_head=2),
}


def assert_is_that_of_transformers(runner: ModelRunner, model: PreTrainedModel, vocab_size: int) -> None:
    """A prompt, a tree behind it, a path of it kept, and one more token."""
    text = prompt_ids(21, vocab_size)
    runner.prefill(text)
    tree = runner.extend([1, 2, 3, 4, 5, 6, 7], [-1, 0, 0, 2, -1, 4, 3]).logits
    for row, path in ((3, [1, 3, 4]), (6, [1, 3, 4, 7]), (5, [5, 6]), (1, [1, 2])):
        wanted = stock_logits(model, [*text, *path])[-1]
        torch.testing.assert_close(tree[row], wanted, atol=2e-4, rtol=2e-4)
    runner.commit([0, 2, 3])
    logits = runner.extend([9], [-1]).logits[0]
    torch.testing.assert_close(logits, stock_logits(model, [*text, 1, 3, 4, 9])[-1], atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("name", SUPPORTED)
def test_a_compiled_model_computes_what_transformers_does(name: str) -> None:
    config = SUPPORTED[name]
    model = loud(build(config))
    assert supports(model)
    runner = ModelRunner(model, 256, is_row_invariant=True)
    assert runner.is_row_invariant
    assert_is_that_of_transformers(runner, loud(build(config)), config.vocab_size)


@pytest.mark.parametrize("vocab_size", [VOCAB_SIZE, 61])
def test_an_output_layer_may_have_biases(vocab_size: int) -> None:
    config = config_of(vocab_size=vocab_size)
    runner = ModelRunner(with_head_bias(build(config)), 256, is_row_invariant=True)
    assert runner._decoder is not None
    weights = runner._decoder.weights
    assert len(weights.head_bias) == COLUMNS * len(weights.head), "there is one for each column of a whole block"
    assert_is_that_of_transformers(runner, with_head_bias(build(config)), vocab_size)


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_with_parts_that_the_pass_leaves_out_is_not_compiled(name: str) -> None:
    model, untouched = (build(copy.deepcopy(REFUSED[name])) for _ in range(2))
    assert not supports(model)
    assert_is_that_of_transformers(ModelRunner(model, 256, is_row_invariant=True), untouched, VOCAB_SIZE)


def test_numbers_of_a_size_that_the_pass_does_not_know_are_left_to_transformers() -> None:
    assert not supports(build(config_of()).double())
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        assert supports(build(config_of()).to(dtype))


def test_float16_is_near_float32() -> None:
    runner = ModelRunner(build(config_of()).half(), 256, is_row_invariant=True)
    text = prompt_ids(20)
    runner.prefill(text)
    logits = runner.extend([1, 2, 3], [-1, 0, 0]).logits
    wanted = stock_logits(build(config_of()), [*text, 1, 3])[-1]
    torch.testing.assert_close(logits[2], wanted, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("part", ["embed_tokens", "q_proj", "v_proj", "o_proj", "gate_proj", "down_proj", "lm_head"])
def test_a_weight_that_is_no_number_is_seen_in_the_result(part: str) -> None:
    model = build(config_of())
    (weight, *_) = [weight for name, weight in model.named_parameters() if f"{part}.weight" in name]
    weight[5, 7] = torch.nan
    runner = ModelRunner(model, 256, is_row_invariant=True)
    runner.prefill([1, 2, 5])
    logits = runner.extend([5, 3], [-1, 0]).logits
    if part == "lm_head":
        assert logits.isnan().sum(dim=1).tolist() == [1, 1]
    else:
        assert logits.isnan().all()


def test_one_row_that_is_no_number_leaves_its_siblings_alone() -> None:
    model, clean = build(config_of()), build(config_of())
    model.get_input_embeddings().weight[9] = torch.nan
    runner, other = (ModelRunner(each, 256, is_row_invariant=True) for each in (model, clean))
    for each in (runner, other):
        each.prefill(prompt_ids(5, 9))
    ids, parents = [1, 9, 3, 4, 9, 5, 6], [-1, 0, 0, 2, -1, 4, 1]
    found, wanted = runner.extend(ids, parents).logits, other.extend(ids, parents).logits
    assert found[[1, 4, 5, 6]].isnan().all()
    assert torch.equal(found[[0, 2, 3]], wanted[[0, 2, 3]])
    runner.commit([0, 2])
    assert torch.isfinite(runner.extend([1], [-1]).logits).all(), "and is gone with its rows"


def test_a_model_is_packed_once_by_threads_that_come_together() -> None:
    """Packing frees the model's own weights: a second packing would find nothing."""
    model, found = build(config_of(num_hidden_layers=3)), []
    threads = [threading.Thread(target=lambda: found.append(prepare(model))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert found[0] is not None
    assert all(decoder is found[0] for decoder in found)


def test_what_a_row_looks_at_is_a_reach_and_what_lies_behind_it() -> None:
    mask = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1]], dtype=torch.bool).numpy()
    reach, offsets, seen = looks_of(mask, 4, 4, 10)
    assert reach.tolist() == [11, 12, 11, 10]
    assert offsets.tolist() == [0, 0, 0, 1, 3]
    assert seen.tolist() == [12, 12, 13]
    reach, offsets, seen = looks_of(mask, 3, 4, 10)
    assert (reach.tolist(), offsets.tolist(), seen.tolist()) == ([11, 12, 11], [0, 0, 0, 1], [12])


def test_gates_stand_beside_what_they_let_through() -> None:
    gate, up = torch.arange(20.0)[:, None], -torch.arange(20.0)[:, None]
    found = interleaved(gate, up)[:, 0]
    assert found[:32].tolist() == [*gate[:16, 0], *up[:16, 0]]
    assert found[32:].tolist() == [*gate[16:, 0], *[0] * 12, *up[16:, 0], *[0] * 12]


def test_a_pass_has_room_for_the_idle_rows_of_its_last_tile() -> None:
    for num_rows in range(1, 600):
        room = Memory.padded(num_rows)
        assert num_rows + 15 <= room <= num_rows + 31


def test_the_first_start_says_that_it_compiles_and_later_ones_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index: str = cast(Any, decoder.run)._cache._cache_file._index_name
    monkeypatch.setattr(decoder, "run", SimpleNamespace(_cache=SimpleNamespace(cache_path=str(tmp_path))))
    announce = decoder.announce_compiling.__wrapped__
    announce()
    assert capsys.readouterr().err.startswith("specviz: compiling the model's pass for this processor, once")
    (tmp_path / index).touch()
    announce()
    assert capsys.readouterr().err == ""
