"""Drafters that borrow the embedding of a target that scales it: raw, times what the drafter's own config says."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest
import transformers
from toys import WINDOW, build, loaded, prompt_ids
from toys.families import sizes

from engine import drafters
from engine.checkpoints import convert
from engine.drafters.base import Room
from engine.target import Target
from tests.engine.checkpoints import dflash_layouts, eagle_layouts
from tests.engine.checkpoints.begun import begun, changed, written
from tests.engine.checkpoints.eagle_layouts import NUM_LAYERS, NUM_TOKENS, WIDTH

PROMPT, DEPTH, SCALE = prompt_ids(9), 4, WIDTH**0.5


@functools.cache
def gemma() -> transformers.PreTrainedModel:
    """As deep as eagle_layouts.py's target, with an embedding that is scaled by the root of its width."""
    kinds = ["sliding_attention", "full_attention"] * (NUM_LAYERS // 2)
    own = {"head_dim": 16, "sliding_window": WINDOW, "layer_types": kinds, "query_pre_attn_scalar": 16}
    return build(transformers.Gemma3TextConfig(**sizes(num_hidden_layers=NUM_LAYERS, **own)))


@functools.cache
def target() -> Target:
    """The same model as the engine runs it."""
    return Target(loaded(build(gemma().config), NUM_TOKENS, 160, name="gemma"))


def _z_lab(scale: float | None) -> dflash_layouts.Published:
    nested = {**dflash_layouts.PUBLISHED["z-lab"]().config["dflash_config"], "input_embedding_scale": scale}
    found = changed(dflash_layouts.PUBLISHED, "z-lab", dflash_config=nested)
    return dataclasses.replace(found, scales=(scale or 1.0, 1.0, 0.0))


BORROWING: dict[str, tuple[str, Any, Any]] = {
    "dflash, which says nothing": ("dflash", dflash_layouts, _z_lab(None)),
    "dflash, which says the target's factor": ("dflash", dflash_layouts, _z_lab(SCALE)),
    "EAGLE-1": ("eagle", eagle_layouts, changed(eagle_layouts.PUBLISHED, "EAGLE-1", ("embed_tokens.weight",))),
}


@pytest.mark.parametrize("case", BORROWING)
def test_a_borrowed_embedding_has_the_factor_of_the_drafters_format(
    case: str, in_either_form: None, tmp_path: Path
) -> None:
    """EAGLE has none, a block drafter the one that its config names; never the target's without being told."""
    method, layouts, published = BORROWING[case]
    assert "embed_tokens.weight" not in published.tensors
    convert(written(tmp_path / "published", published), tmp_path / "out")
    depth = {"depth": DEPTH} if method == "eagle" else {}
    options = {"weights": str(tmp_path / "out"), "budget": DEPTH, "tree": "chain", **depth}
    drafter = drafters.create(method, options, target())
    context = begun(target(), drafter, PROMPT)
    found = drafter.propose(context, Room(DEPTH))
    reference = layouts.Reference(published, context, gemma())
    tokens, probs = reference.chain(DEPTH) if method == "eagle" else reference.chain()
    assert (list(found.tokens), found.draft_probs) == (tokens, pytest.approx(probs, rel=1e-3))
