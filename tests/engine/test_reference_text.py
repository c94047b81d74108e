"""Whole texts against transformers' own generate, in float32: other families than the engine's compiled ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys import FAMILIES, WINDOW, ScriptedDrafter, greedy_text, output_ids, prompt_ids, random_trees, stock, tiny

from engine.config import GenerationConfig
from engine.loop import generate
from engine.target import Target

NUM_TOKENS = 3 * WINDOW


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_text_is_that_of_generate_token_for_token(family: str) -> None:
    prompt, model = prompt_ids(2 * WINDOW, seed=4), stock(family)
    ids: Any = torch.tensor([prompt])
    how = {"do_sample": False, "max_new_tokens": NUM_TOKENS, "pad_token_id": 0}
    wanted: list[int] = model.generate(ids, attention_mask=torch.ones_like(ids), **how)[0].tolist()  # type: ignore[operator]
    target = Target(tiny(family))
    assert greedy_text(target, prompt, NUM_TOKENS) == wanted
    config = GenerationConfig(max_new_tokens=NUM_TOKENS, has_detail=False)
    branchy = ScriptedDrafter(random_trees(64, seed=2, num_nodes=20, truth=wanted))
    assert output_ids(generate(target, branchy, prompt, config)) == wanted[len(prompt) :]
