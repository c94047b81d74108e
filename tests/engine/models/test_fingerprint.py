"""Fingerprints: the same in every dtype, other for other weights and vocabularies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from toys import loaded, tiny

from engine import models


@pytest.mark.parametrize("stored", ["float32", "bfloat16"])
def test_a_fingerprint_is_the_same_in_every_dtype(stored: str, folder: Path) -> None:
    if stored == "bfloat16":
        path = folder / "model.safetensors"
        save_file({name: t.bfloat16() for name, t in load_file(path).items()}, path, metadata={"format": "pt"})
    found = {models.load(str(folder), "cpu", dtype).weights_fingerprint for dtype in ("fp32", "bf16", "fp16")}
    assert len(found) == 1
    assert found != {""}


def test_the_embedded_drafters_name_the_embedded_targets_weights() -> None:
    own = {models.load("story", "cpu", dtype).weights_fingerprint for dtype in ("bf16", "fp16")}
    for method in (
        "medusa",
        "mlp_speculator",
        "chimera",
        "hidden_transfer",
        "eagle",
        "dflash",
        "dflash2",
        "dspark",
        "hydra",
    ):
        folder = models.ASSETS / "models" / f"story-{method}"
        assert {json.loads((folder / "config.json").read_text())["target_fingerprint"]} == own
        assert next(iter(own)) in (folder / "README.md").read_text()


def test_a_fingerprint_tells_vocabularies_apart() -> None:
    assert tiny("llama").vocabulary_fingerprint == tiny("gpt2").vocabulary_fingerprint
    other = loaded(None, 64, 9, eos_id=2)
    assert other.vocabulary_fingerprint != tiny("llama").vocabulary_fingerprint
