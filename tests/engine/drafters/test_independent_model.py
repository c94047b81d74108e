"""Methods that need nothing, on a pretrained model that this project did not make, against its reference text.

The model is not a part of the repository: `../shared/models`, skipped where that is absent.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toys import loaded, output_ids
from transformers import AutoModelForCausalLM

from engine import drafters
from engine.config import GenerationConfig
from engine.loop import generate
from engine.target import Target

FOLDER = Path(__file__).resolve().parents[3].parent / "shared" / "models"
NAME = "stories260K"
NAMES = [name for name in drafters.names() if drafters.get(name).needs.describe() == "nothing"]

pytestmark = pytest.mark.skipif(not (FOLDER / NAME).is_dir(), reason="the independent model is not here")


@pytest.fixture(scope="module")
def target() -> Target:
    model: Any = AutoModelForCausalLM.from_pretrained(FOLDER / NAME, local_files_only=True)
    return Target(loaded(model.requires_grad_(False).eval(), 512, 512, name=NAME))


@pytest.mark.parametrize("name", NAMES)
def test_greedy_text_is_the_reference(name: str, target: Target) -> None:
    for case in json.loads((FOLDER / "reference_greedy.json").read_text())["models"][NAME]:
        wanted = case["greedy_ids"]
        config = GenerationConfig(max_new_tokens=len(wanted), has_detail=False)
        events = generate(target, drafters.create(name, {}, target), case["prompt_ids"], config)
        assert output_ids(events) == wanted
