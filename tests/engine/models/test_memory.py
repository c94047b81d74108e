"""What a model needs before it is loaded: counted in files, or in what a config describes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers
from model_folders import load
from toys import FAMILIES, build

from engine.models import memory
from engine.models.presets import presets
from engine.runtime.cache import KVCache

QWEN3_8B = transformers.Qwen3Config(
    vocab_size=151_936,
    hidden_size=4096,
    intermediate_size=12_288,
    num_hidden_layers=36,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    tie_word_embeddings=False,
)


def test_weights_are_counted_in_a_folders_files(model_folder: Path) -> None:
    model = load(model_folder).model
    wanted = sum(parameter.numel() for parameter in build(model.config).parameters())
    assert memory.weight_bytes(str(model_folder), model.config, torch.float32) == 4 * wanted
    assert memory.weight_bytes(str(model_folder), model.config, torch.bfloat16) == 2 * wanted


def test_weights_of_a_hub_model_are_counted_in_what_its_config_describes() -> None:
    assert memory.weight_bytes("Qwen/Qwen3-8B", QWEN3_8B, torch.bfloat16) == 2 * 8_190_735_360


def test_files_that_cannot_be_read_and_configs_of_no_model_count_nothing(tmp_path: Path) -> None:
    def refuse(config: transformers.PretrainedConfig) -> None:
        raise ValueError(config)

    (tmp_path / "model.safetensors").write_bytes(b"no header")
    assert memory.weight_bytes(str(tmp_path), QWEN3_8B, torch.float32, SimpleNamespace(from_config=refuse)) == 0


def test_keys_and_values_of_a_published_model() -> None:
    assert memory.kv_bytes(QWEN3_8B, torch.bfloat16, 1) == 147_456
    assert memory.kv_bytes(QWEN3_8B, torch.bfloat16, 1000) == 147_456_000


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2", "phi3"])
def test_keys_and_values_take_what_the_cache_writes(family: str) -> None:
    model = build(FAMILIES[family]())
    layers = model.config.get_text_config().num_hidden_layers
    cache = KVCache(layers, is_for_kernel=False)
    model(torch.zeros(1, 7, dtype=torch.int64), past_key_values=cache)
    written = sum(4 * part[:, :, :7].numel() for layer in cache.kv_layers for part in (layer.keys, layer.values))
    assert memory.kv_bytes(model.config, torch.float32, 7) == written


def test_free_memory_of_a_cpu_is_what_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    assert memory.free_bytes(torch.device("cpu")) is None
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\nMemAvailable:   5 kB\n")
    assert memory.free_bytes(torch.device("cpu")) == 5120


def test_free_memory_of_a_gpu_includes_what_torch_keeps_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"mem_get_info": (100, 900), "memory_reserved": 50, "memory_allocated": 30}.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert memory.free_bytes(torch.device("cuda")) == 120
    assert memory.in_gigabytes(16_381_470_720) == "16.4 GB"


def sized(kind: str, *sizes: int, dim: int = 0, tied: bool = False) -> transformers.PretrainedConfig:
    """Vocabulary, width, inner width, layers, heads and key heads of a published model."""
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    more = {"head_dim": dim} if dim else {}
    given = dict(zip((*names, "num_key_value_heads"), sizes, strict=True))
    return transformers.AutoConfig.for_model(kind, **given, **more, tie_word_embeddings=tied)


QWEN3_06B = sized("qwen3", 151_936, 1024, 3072, 28, 16, 8, dim=128, tied=True)
SMOLLM2_135M = sized("llama", 49_152, 576, 1536, 30, 9, 3, tied=True)
PUBLISHED: dict[str, tuple[transformers.PretrainedConfig, ...]] = {
    "qwen3-8b": (QWEN3_8B, QWEN3_06B),
    "qwen3-4b": (sized("qwen3", 151_936, 2560, 9728, 36, 32, 8, dim=128, tied=True), QWEN3_06B),
    "qwen2_5-7b": (
        sized("qwen2", 152_064, 3584, 18_944, 28, 28, 4),
        sized("qwen2", 151_936, 896, 4864, 24, 14, 2, tied=True),
    ),
    "llama3_1-8b": (
        sized("llama", 128_256, 4096, 14_336, 32, 32, 8),
        sized("llama", 128_256, 2048, 8192, 16, 32, 8, tied=True),
    ),
    "smollm2-1_7b": (sized("llama", 49_152, 2048, 8192, 24, 32, 32, tied=True), SMOLLM2_135M),
    "smollm2-135m": (SMOLLM2_135M,),
}


@pytest.mark.parametrize("name", [name for name, preset in presets().items() if preset.gigabytes])
def test_a_presets_memory_is_target_draft_and_8192_tokens_of_both(name: str) -> None:
    total = sum(
        memory.weight_bytes("nowhere", config, torch.bfloat16) + memory.kv_bytes(config, torch.bfloat16, 8192)
        for config in PUBLISHED[name]
    )
    preset = presets()[name]
    assert preset.gigabytes == round(total / 1e9, 1)
    if preset.draft:
        assert preset.title.endswith(f", {preset.gigabytes:g} GB"), "the menu says it before anything is loaded"


def test_every_preset_of_the_hub_says_what_it_needs() -> None:
    assert set(PUBLISHED) == {name for name, preset in presets().items() if "/" in preset.target and name != "story"}
