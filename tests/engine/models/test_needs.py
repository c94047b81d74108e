"""What a model would need, before it is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from model_folders import refusal

from engine.models import converted, memory, needs
from engine.models.needs import Needs, needs_of
from tests.engine.models.gguf_files import SHAPES, write_gguf
from tests.engine.models.hub import Hub


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 8 * 10**9)


def test_a_folder_needs_its_weights_and_some_text(model_folder: Path) -> None:
    found = needs_of(str(model_folder), "cpu", "fp32")
    assert found.memory is not None
    assert 0 < found.memory < 10**6
    assert (found.free, found.device, found.dtype, found.download, found.fits) == (8 * 10**9, "cpu", "float32", 0, True)
    assert found.text == "Needs 0 MB in float32 on cpu; 8.0 GB are free."


def test_a_gguf_file_is_counted_without_being_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converted, "user_cache", lambda: tmp_path / "cache")
    found = needs_of(str(write_gguf(tmp_path / "tiny.gguf")), "cpu", "bf16")
    assert found.memory == 2 * sum(torch.Size(shape).numel() for shape in SHAPES.values())
    assert "It is converted once" in found.text
    assert not (tmp_path / "cache").exists()


def test_a_hub_model_needs_its_config_and_a_list_of_its_files(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Hub().install(monkeypatch)
    monkeypatch.setattr(needs, "_memory", lambda name, location, dtype, packing: 9 * 10**9)
    found = needs_of("a/b", "cpu", "bf16")
    assert not found.fits
    assert found.text == (
        "Needs 9.0 GB in bfloat16 on cpu; 8.0 GB are free: it does not fit. 0 MB to fetch from the Hub first."
    )


def test_a_gguf_file_on_the_hub_is_known_by_its_size_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    Hub().install(monkeypatch)
    monkeypatch.setattr("tests.engine.models.hub.FILES", {"x.gguf": 5 * 10**9})
    assert needs_of("a/b:x.gguf", "cpu", "bf16").text == (
        "How much memory it needs is known when it is here; 8.0 GB are free. 5.0 GB to fetch from the Hub first. It is "
        "converted once, which takes a while."
    )


def test_where_nobody_says_what_is_free_a_model_fits() -> None:
    assert Needs(10**12, None, "mps", "bfloat16").fits
    assert Needs(10**12, None, "mps", "bfloat16").text == "Needs 1000.0 GB in bfloat16 on mps."


def test_what_is_no_model_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    assert "The config of" in refusal(lambda: needs_of(str(tmp_path)))
    assert "Unknown model '/nowhere'" in refusal(lambda: needs_of("/nowhere"))


@pytest.mark.parametrize("change", [{"hidden_size": 10**400}, {"num_key_value_heads": -(2**40)}])
def test_a_config_of_no_possible_size_gets_a_sentence(change: dict[str, int], tmp_path: Path) -> None:
    right = {"model_type": "llama", "vocab_size": 8, "hidden_size": 8, "num_attention_heads": 2}
    right |= {"num_hidden_layers": 2, "intermediate_size": 8}
    (tmp_path / "config.json").write_text(json.dumps(right | change))
    told = refusal(lambda: needs_of(str(tmp_path)))
    assert f"The config of {tmp_path}" in told
    assert len(told) < 1_000
