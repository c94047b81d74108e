"""Drafters of published checkpoints change no text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toys import greedy_text, output_ids, prompt_ids

from engine.config import GenerationConfig
from engine.loop import generate
from tests.engine.checkpoints import dflash_layouts, eagle_layouts, hydra_layouts

PROMPT = prompt_ids(9)
CASES = {
    "eagle": (eagle_layouts, ("EAGLE-1", "speculators")),
    "dflash": (dflash_layouts, ("z-lab, windows", "speculators")),
    "hydra": (hydra_layouts, ("Hydra++",)),
}


@pytest.mark.parametrize(
    ("method", "layout"), [(method, layout) for method, (_, layouts) in CASES.items() for layout in layouts]
)
def test_its_text_is_the_targets(method: str, layout: str, tmp_path: Path) -> None:
    """Also where the drafter has tokens that the target has not."""
    known: Any = CASES[method][0]
    target, drafter = known.target(), known.made(tmp_path, known.PUBLISHED[layout]())
    events = generate(target, drafter, PROMPT, GenerationConfig(max_new_tokens=10))
    assert [*PROMPT, *output_ids(events)] == greedy_text(target, PROMPT, 10)
    assert max(drafter.network.vocabulary) < eagle_layouts.NUM_TOKENS
