"""GGUF files to weights, tokenizer and template; a sentence for what is none, or is not whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_folders import refusal
from safetensors.torch import load_file

from engine import models
from engine.models import converting
from engine.models.converted import converted
from tests.engine.models.gguf_files import CONTEXT, TEMPLATE, VOCAB_SIZE, values_of, write_gguf

UP = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole file."""
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's cache."""
    monkeypatch.setenv("SPECVIZ_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_gguf_file_is_a_model_with_its_tokenizer_template_and_end(tiny_gguf: Path, cache: Path) -> None:
    found = models.load(str(tiny_gguf), "cpu", "bf16")
    assert (found.name, found.max_context, found.vocab_size) == (str(tiny_gguf), CONTEXT, VOCAB_SIZE)
    assert (found.eos_ids, found.tokenizer.chat_template) == ({0}, TEMPLATE)
    assert found.encode("abc") == [VOCAB_SIZE - 1, 3], "ab is one token"
    wanted = torch.from_numpy(values_of("blk.0.ffn_up.weight")).bfloat16()
    assert torch.equal(found.model.get_parameter(UP), wanted)
    draft = models.load_draft(models.DraftSpec(str(tiny_gguf)), found)
    assert draft.weights_fingerprint == found.weights_fingerprint, "a draft model is named likewise"


def test_blocks_are_unpacked_to_bf16(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "blocks.gguf", is_quantised=True)
    converting.convert(source, tmp_path / "out")
    rows = values_of("blk.0.ffn_up.weight").reshape(-1, 32)
    low = rows.min(1, keepdims=True)
    scale = (rows.max(1, keepdims=True) - low) / 15
    nibbles = np.clip(np.round((rows - low) / scale), 0, 15)
    wanted = nibbles * scale.astype(np.float16).astype(np.float32) + low.astype(np.float16).astype(np.float32)
    found = load_file(tmp_path / "out" / "model.safetensors")[UP]
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, torch.from_numpy(wanted.reshape(found.shape)).bfloat16())


@pytest.mark.parametrize(("kind", "dtype"), [(np.float32, torch.float32), (np.float16, torch.float16)])
def test_numbers_that_are_not_quantised_keep_what_the_file_has(
    kind: Any, dtype: torch.dtype, tmp_path: Path, cache: Path
) -> None:
    source = write_gguf(tmp_path / "full.gguf", dtype=kind)
    wanted = torch.from_numpy(values_of("blk.0.ffn_up.weight").astype(kind))
    kept = load_file(converted(source) / "model.safetensors")[UP]
    assert kept.dtype == dtype
    assert torch.equal(kept, wanted)
    assert torch.equal(models.load(str(source), "cpu", "fp32").model.get_parameter(UP), wanted.float())


def cut_off(data: bytes) -> bytes:
    return data[:-4000]


def only_a_head(data: bytes) -> bytes:
    return data[:100]


def nothing(data: bytes) -> bytes:
    return b""


def text(data: bytes) -> bytes:
    return b"Once upon a time."


def unknown_architecture(data: bytes) -> bytes:
    return data.replace(b"llama", b"camel")


def unknown_quantisation(data: bytes) -> bytes:
    """The type of the first tensor is four bytes behind its name, number of dimensions and dimensions."""
    name = b"token_embd.weight"
    place = data.index(name) + len(name) + 4 + 2 * 8
    return data[:place] + (99).to_bytes(4, "little") + data[place + 4 :]


SPOILT: dict[Callable[[bytes], bytes], str] = {
    cut_off: "cut off or corrupt",
    only_a_head: "cut off or corrupt",
    nothing: "no GGUF file",
    text: "no GGUF file: it begins with b'Once'",
    unknown_architecture: "transformers does not read (GGUF model with architecture camel",
    unknown_quantisation: "99) is not a valid GGMLQuantizationType",
}


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_a_spoilt_file_is_refused_and_named(
    spoil: Callable[[bytes], bytes], tiny_gguf: Path, tmp_path: Path, cache: Path
) -> None:
    path = tmp_path / "spoilt.gguf"
    path.write_bytes(spoil(tiny_gguf.read_bytes()))
    message = refusal(lambda: models.load(str(path), "cpu"))
    assert str(path) in message
    assert SPOILT[spoil] in message
    assert not list(cache.glob("models/*")), "nothing half-made stays"


def test_a_file_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "lacking.gguf", lacking=("blk.0.ffn_up.weight",))
    assert f"lacks {UP} and 0 others" in refusal(lambda: converting.convert(source, tmp_path / "out"))


def test_without_the_package_that_reads_it_a_sentence_says_how_to_get_it(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install gguf" in refusal(lambda: converting.convert(tiny_gguf, tmp_path / "out"))
