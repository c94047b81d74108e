"""llama.cpp as a peer: what its package is given, by stand-ins for it; the sentence where it cannot be had."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from toys import build

from engine import models
from engine.bench import gguf_file, llamacpp
from engine.bench.peers import load_peers
from engine.cores import usable_cores
from engine.errors import BadInput
from engine.models import LoadedModel
from tests.engine.bench.cells import CONFIG

EOS = 9


class Llama:
    """Counts on from the prompt's last token; wants a reset before each prompt, as it would reuse what it knows."""

    def __init__(self, **options: Any) -> None:
        assert Path(options["model_path"]).is_file()
        self.options, self.is_fresh = options, False

    def reset(self) -> None:
        self.is_fresh = True

    def generate(self, tokens: list[int], **settings: Any) -> Iterator[int]:
        assert settings == {"temp": 0.0, "repeat_penalty": 1.0}
        assert self.is_fresh
        self.is_fresh = False
        for step in range(1, 100):
            yield np.int32(tokens[-1] + step)


@dataclass
class Writer:
    """What is written, by name."""

    path: Path
    architecture: str
    tensors: dict[str, tuple[Any, str]] = field(default_factory=dict)
    sizes: dict[str, Any] = field(default_factory=dict)

    def add_tensor(self, name: str, data: Any, raw_dtype: str) -> None:
        self.tensors[name] = (data, raw_dtype)

    def write_tensors_to_file(self) -> None:
        self.path.write_bytes(b"GGUF")

    def __getattr__(self, name: str) -> Any:
        return lambda *given: self.sizes.update({name: given})


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Writer]:
    """The packages' stand-ins; and the files that were written."""
    found: list[Writer] = []

    def make(path: Path, architecture: str) -> Writer:
        found.append(Writer(path, architecture))
        return found[-1]

    kinds = {name: name for name in ("BF16", "F16", "F32")}
    package, speculative = ModuleType("llama_cpp"), ModuleType("llama_cpp.llama_speculative")
    package.Llama = Llama  # type: ignore[attr-defined]
    speculative.LlamaPromptLookupDecoding = lambda **options: ("lookup", options)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "llama_cpp", package)
    monkeypatch.setitem(sys.modules, "llama_cpp.llama_speculative", speculative)
    monkeypatch.setitem(sys.modules, "gguf", SimpleNamespace(GGUFWriter=make, GGMLQuantizationType=kinds))
    return found


@pytest.fixture
def loaded(model_folder: Path) -> LoadedModel:
    return models.load(str(model_folder), "cpu", "fp32")


def test_it_decodes_plainly_and_by_lookup_with_every_core(
    written: list[Writer], loaded: LoadedModel, model_folder: Path
) -> None:
    told: list[str] = []
    *stock, plain, lookup = load_peers(loaded, str(model_folder), CONFIG, tell=told.append)
    assert [peer.name for peer in stock] == ["generate", "generate(prompt_lookup)"]
    assert (plain.name, plain.options) == ("llama.cpp", {"n_threads": usable_cores()})
    assert lookup.name == "llama.cpp(prompt_lookup)"
    for which, wanted in (("generate", stock), ("llama.cpp", [plain, lookup])):
        asked = load_peers(loaded, str(model_folder), CONFIG, which)
        assert [peer.name for peer in asked] == [peer.name for peer in wanted]
    assert lookup.options == {"n_threads": usable_cores(), "num_pred_tokens": llamacpp.NUM_LOOKUP_TOKENS}
    given = [peer._llama.options for peer in (plain, lookup)]  # type: ignore[attr-defined]
    for options in given:
        assert options["n_threads"] == options["n_threads_batch"] == usable_cores()
        assert (options["n_ctx"], options["use_mmap"]) == (loaded.max_context, False)
    assert "draft_model" not in given[0]
    assert given[1]["draft_model"] == ("lookup", {"num_pred_tokens": llamacpp.NUM_LOOKUP_TOKENS})
    assert given[1]["logits_all"] is True, "it has room for one batch of scores otherwise"
    assert told == []
    assert not written[0].path.exists(), "the file is not left behind"


def test_an_answer_ends_at_its_end_token_or_limit() -> None:
    peer = llamacpp.LlamaPeer("llama.cpp", Llama(model_path=__file__), {EOS})
    assert peer.generate([1, 3], 4) == [4, 5, 6, 7]
    assert peer.generate([1, 5], 100) == [6, 7, 8, EOS]
    assert all(type(token) is int for token in peer.generate([1, 5], 3))


def small(**changes: Any) -> Any:
    sizes = {"vocab_size": 16, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4}
    return transformers.LlamaConfig(**{**sizes, **heads, **changes})


def rows(data: Any, dtype: torch.dtype) -> torch.Tensor:
    """The numbers whose bytes were written."""
    return torch.from_numpy(data).view(dtype)


def test_a_file_holds_the_same_numbers(written: list[Writer], tmp_path: Path) -> None:
    model = build(small(), "bfloat16")
    gguf_file.write(tmp_path / "a.gguf", model)
    tensors, layer = written[0].tensors, model.model.layers[0]
    up, kind = tensors["blk.0.ffn_up.weight"]
    assert kind == "BF16"
    assert torch.equal(rows(up, torch.bfloat16), layer.mlp.up_proj.weight)
    norm, kind = tensors["blk.0.attn_norm.weight"]
    assert kind == "F32"
    assert torch.equal(rows(norm, torch.float32), layer.input_layernorm.weight.float())
    assert len(tensors) == 9 + 3
    assert torch.equal(rows(tensors["output.weight"][0], torch.bfloat16), model.lm_head.weight)
    gguf_file.write(tmp_path / "b.gguf", build(small(tie_word_embeddings=True), "bfloat16"))
    assert "output.weight" not in written[1].tensors, "tied to the embeddings"


def test_rotary_pairs_stand_side_by_side(written: list[Writer], tmp_path: Path) -> None:
    model = build(small())
    gguf_file.write(tmp_path / "a.gguf", model)
    tensors, attention = written[0].tensors, model.model.layers[0].self_attn
    for name, weight in (("attn_q", attention.q_proj.weight), ("attn_k", attention.k_proj.weight)):
        order = [4 * head + row for head in range(len(weight) // 4) for row in (0, 2, 1, 3)]
        assert torch.equal(rows(tensors[f"blk.0.{name}.weight"][0], torch.float32), weight[order])
    value = rows(tensors["blk.0.attn_v.weight"][0], torch.float32)
    assert torch.equal(value, attention.v_proj.weight)
    sizes = written[0].sizes
    assert (sizes["add_head_count"], sizes["add_head_count_kv"]) == ((4,), (2,))
    assert (sizes["add_rope_dimension_count"], sizes["add_vocab_size"]) == ((4,), (16,))


@pytest.mark.parametrize(
    "config",
    [
        small(attention_bias=True),
        small(mlp_bias=True),
        small(rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}),
        transformers.GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=16),
    ],
)
def test_what_cannot_be_written_is_refused(config: Any, written: list[Writer], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be handed over; wanted a Llama model without biases"):
        gguf_file.write(tmp_path / "a.gguf", build(config))


def test_where_it_cannot_be_had_a_sentence_says_why(
    written: list[Writer], loaded: LoadedModel, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> str:
        said: list[str] = []
        assert len(load_peers(loaded, str(model_folder), CONFIG, tell=said.append)) == 2
        return " ".join(said)

    def refuse(**options: Any) -> Any:
        raise ValueError("Failed to load model from file\nmore")

    monkeypatch.setattr(sys.modules["llama_cpp"], "Llama", refuse)
    assert told() == "llama.cpp is left out. It does not take the weights: Failed to load model from file."
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert told() == "llama.cpp is left out. The package gguf is not installed: pip install -r requirements-peers.txt."
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    assert told() == "llama.cpp is left out. Its package is not installed: pip install -r requirements-peers.txt."
    elsewhere = replace(loaded, model=build(small()).to("meta"))
    with pytest.raises(BadInput, match=r"runs on meta, and llama\.cpp is compared on a CPU only"):
        llamacpp.load(elsewhere.model, elsewhere)
