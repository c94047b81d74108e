"""Published heads on DFlash's block: converted, run, equal to their description; traps of the formats; refusals."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import output_ids, prompt_ids

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters.base import Room
from engine.drafters.heads.dflash.walks import Walked
from engine.errors import BadInput
from engine.loop import generate
from tests.engine.checkpoints.dflash_head_layouts import (
    DFLASH2,
    DSPARK,
    DFlash2Reference,
    DSparkReference,
)
from tests.engine.checkpoints.dflash_layouts import Published, made, started
from tests.engine.checkpoints.eagle_layouts import some, target

PROMPT = prompt_ids(11)


@pytest.mark.parametrize("layout", DSPARK)
def test_dspark_drafts_what_its_description_says(layout: str, tmp_path: Path) -> None:
    """Tokens, probabilities and confidence behind each; which rows foresee; heads of three kinds; d2t."""
    published = DSPARK[layout]()
    drafter = made(tmp_path, published, "dspark", tree="chain")
    assert isinstance(drafter, Walked)
    context = started(drafter, PROMPT)
    tree, reference = drafter.propose(context, Room(16)), DSparkReference(published, context)
    assert len(tree) == published.block_size - (not published.is_anchor_asked)
    walk = drafter.network.walk(drafter._foreseen(context.root_id, len(tree)), is_asked=True)
    for place, token in enumerate(tree.tokens):
        law, confidence = reference.law(tree.tokens[:place])
        assert token == int(reference.token_ids()[law.argmax()])
        assert tree.draft_probs is not None
        assert tree.draft_probs[place] == pytest.approx(float(law.max()), rel=1e-3)
        before = np.array([(context.root_id, *tree.tokens)[place]])
        found = walk.step(place, np.zeros(1, np.int64), before).confidence
        assert found is not None
        assert found[0] == pytest.approx(confidence, rel=1e-3)


@pytest.mark.parametrize("layout", DFLASH2)
def test_dflash2_drafts_what_its_description_says(layout: str, tmp_path: Path) -> None:
    """Convolutions, candidates, and how well each goes behind the token before."""
    published = DFLASH2[layout]()
    drafter = made(tmp_path, published, "dflash2", tree="chain")
    context = started(drafter, PROMPT)
    tree, reference = drafter.propose(context, Room(16)), DFlash2Reference(published, context)
    assert len(tree) == published.block_size - 1
    for place, token in enumerate(tree.tokens):
        law = reference.law(tree.tokens[:place])
        assert token == int(law.argmax())
        assert tree.draft_probs is not None
        assert tree.draft_probs[place] == pytest.approx(float(law.max()), rel=1e-3)


@pytest.mark.parametrize(("method", "layout"), [("dspark", "speculators"), ("dflash2", "speculators")])
def test_its_text_is_the_targets(method: str, layout: str, tmp_path: Path) -> None:
    drafter = made(tmp_path, (DSPARK if method == "dspark" else DFLASH2)[layout](), method)
    settings = GenerationConfig(max_new_tokens=10)
    plain = output_ids(generate(target(), drafters.create("plain", {}, target()), PROMPT, settings))
    assert output_ids(generate(target(), drafter, PROMPT, settings)) == plain


def changed(
    published: Published, drop: tuple[str, ...] = (), add: dict[str, Any] | None = None, **config: Any
) -> Published:
    tensors = {name: tensor for name, tensor in published.tensors.items() if name not in drop} | (add or {})
    nested = {**published.config.get("dflash_config", {}), **config.pop("nested", {})}
    config |= {"dflash_config": nested} if nested else {}
    return dataclasses.replace(published, tensors=tensors, config={**published.config, **config})


CONFIDENCE, BOOK = "confidence_head.proj", "candidate_selector.successor_codebook"
KERNEL = "layers.0.attention_conv.kernel_projection.weight"
REFUSED: dict[str, tuple[str, Published, str]] = {
    "rank": ("dspark", changed(DSPARK["DeepSpec"](), markov_rank=9), "markov_rank=9, and the tensors 6"),
    "kind": ("dspark", changed(DSPARK["DeepSpec"](), markov_head_type="lstm"), "markov_head_type in .* is 'lstm'"),
    "no gate": ("dspark", changed(DSPARK["DeepSpec"](), markov_head_type="gated"), r"lack markov_head\.gate_proj"),
    "no W2": (
        "dspark",
        changed(DSPARK["DeepSpec"](), ("markov_head.markov_w2.weight",)),
        r"lack markov_head\.markov_w2",
    ),
    "no confidence": (
        "dspark",
        changed(DSPARK["DeepSpec"](), (f"{CONFIDENCE}.weight", f"{CONFIDENCE}.bias")),
        "enable_confidence_head=True, and there is no",
    ),
    "confidence of another width": (
        "dspark",
        changed(DSPARK["DeepSpec"](), add={f"{CONFIDENCE}.weight": some(1, 9)}),
        "has 9 columns; wanted 64, and 6 more",
    ),
    "what confidence reads": (
        "dspark",
        changed(DSPARK["DeepSpec"](), confidence_head_with_markov=False),
        "confidence_head_with_markov=False, and the tensors True",
    ),
    "another head": (
        "dspark",
        changed(DSPARK["SpecForge"](), nested={"projector_type": "domino"}),
        "projector_type='domino': these weights are no dspark",
    ),
    "a bonus row": ("dspark", changed(DSPARK["DeepSpec"](), dspark_bonus_anchor=True), "dspark_bonus_anchor=True"),
    "root asked": ("dflash2", changed(DFLASH2["z-lab"](), sample_from_anchor=True), "root foresees no token"),
    "some tokens": ("dflash2", changed(DFLASH2["z-lab"](), add={"d2t": torch.arange(20)}), "There is a d2t"),
    "no candidates": ("dflash2", changed(DFLASH2["z-lab"](), nested={"selector_top_k": None}), "selector_top_k=None"),
    "group": (
        "dflash2",
        changed(DFLASH2["z-lab"](), nested={"conv_group_size": 8}),
        "conv_group_size=8, and the tensors 16",
    ),
    "kernel": ("dflash2", changed(DFLASH2["z-lab"](), add={KERNEL: some(7, 64)}), "has 7 rows, for 3 taps"),
    "no kernel": (
        "dflash2",
        changed(DFLASH2["z-lab"](), ("layers.0.attention_conv.base_kernel",)),
        "no layers.0.attention_conv",
    ),
    "short book": ("dflash2", changed(DFLASH2["z-lab"](), add={BOOK: some(20, 6)}), "has 20 rows; wanted one for each"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_file_names_the_key_or_shape(case: str, tmp_path: Path) -> None:
    method, published, told = REFUSED[case]
    with pytest.raises(BadInput, match=told):
        made(tmp_path, published, method)
