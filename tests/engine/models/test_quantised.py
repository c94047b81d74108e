"""Eight and four bits: a sentence where they cannot be had, and what transformers is told where they can."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from model_folders import refusal

from engine import models
from engine.models import loading, quantised
from engine.models.needs import needs_of

CUDA = torch.device("cuda", 0)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name == quantised.PACKAGE else found(name))


def test_without_the_package_a_sentence_says_how_to_get_it(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = refusal(lambda: models.load(str(model_folder), "cpu", "int8"))
    assert message.startswith("--dtype int8 needs a package that is not installed: pip install bitsandbytes")


def test_without_a_gpu_a_sentence_says_so(model_folder: Path, installed: None) -> None:
    message = refusal(lambda: models.load(str(model_folder), "cpu", "int4"))
    assert message == "--dtype int4 needs a CUDA device, and the model is to run on cpu; choose bf16 or fp32."


def test_what_transformers_is_told(installed: None) -> None:
    assert quantised.settings("int8", CUDA, torch.bfloat16).load_in_8bit
    four: Any = quantised.settings("int4", CUDA, torch.float16)
    assert (four.load_in_4bit, four.bnb_4bit_compute_dtype) == (True, torch.float16)


def test_a_model_is_read_with_these_settings(
    model_folder: Path, installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def read(order: Any, how: dict[str, Any]) -> Any:
        asked.append(how)
        raise ValueError("seen")

    monkeypatch.setattr(quantised, "settings", lambda kind, device, dtype: f"{kind} on {device}")
    monkeypatch.setattr(loading, "_read_weights", read)
    monkeypatch.setattr(loading, "fingerprint_of", lambda model: "f")
    order = loading._Order(str(model_folder), torch.device("cpu"), torch.bfloat16, packing="int8")
    refusal(lambda: loading._load(order))
    assert asked == [{}], "once as it is, for its fingerprint"
    monkeypatch.setattr(loading, "fingerprint_of", lambda model: "f")
    monkeypatch.setattr(loading, "_read_weights", lambda order, how: read(order, how) if how else None)
    refusal(lambda: loading._load(order))
    assert asked[1] == {"quantization_config": "int8 on cpu"}


def test_less_is_needed(model_folder: Path) -> None:
    whole, packed = needs_of(str(model_folder), "cpu", "bf16"), needs_of(str(model_folder), "cpu", "int4")
    assert packed.dtype == "int4"
    assert packed.memory is not None
    assert whole.memory is not None
    assert packed.memory < whole.memory
    assert quantised.num_bytes("int8", 1000, torch.bfloat16) == 575
    assert quantised.num_bytes("int4", 1000, torch.bfloat16) == 362
