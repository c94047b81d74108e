"""EAGLE's published checkpoints: converted, run, equal to their description; traps of the formats; what is refused."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toys import prompt_ids

from engine.checkpoints import convert
from engine.drafters.base import Room
from engine.errors import BadInput
from tests.engine.checkpoints import begun
from tests.engine.checkpoints.begun import written
from tests.engine.checkpoints.eagle_layouts import (
    NUM_TOKENS,
    PUBLISHED,
    WIDTH,
    Published,
    Reference,
    made,
    some,
    started,
)

DEPTH, PROMPT = 4, prompt_ids(9)
changed = functools.partial(begun.changed, PUBLISHED)


@pytest.mark.parametrize("layout", PUBLISHED)
def test_what_is_published_drafts_what_its_description_says(layout: str, tmp_path: Path) -> None:
    """A chain behind a prompt: tokens through d2t, and their probabilities; taps are read where they are meant."""
    published = PUBLISHED[layout]()
    drafter = made(tmp_path, published, tree="chain", depth=DEPTH)
    assert drafter.needs.hidden_layers == published.taps
    context = started(drafter, PROMPT)
    tree = drafter.propose(context, Room(16))
    tokens, probs = Reference(published, context).chain(DEPTH)
    assert list(tree.tokens) == tokens
    assert tree.parents == (-1, 0, 1, 2)
    assert tree.draft_probs == pytest.approx(probs, rel=1e-3)


def test_offsets_lead_to_tokens_and_none_beyond_the_targets(tmp_path: Path) -> None:
    published = PUBLISHED["speculators"]()
    published.tensors["d2t"][-1] += NUM_TOKENS + 10 - 58
    published.tensors["t2d"][58], published.tensors["t2d"][NUM_TOKENS + 10] = False, True
    drafter = made(tmp_path, published)
    assert drafter.network.vocabulary.tolist() == list(range(1, 58, 3))


def test_layers_that_are_not_named_are_the_targets_default(tmp_path: Path) -> None:
    convert(written(tmp_path / "published", PUBLISHED["EAGLE-3"]()), tmp_path / "out")
    assert "hidden_layers" not in json.loads((tmp_path / "out" / "config.json").read_text())
    kept = load_file(tmp_path / "out" / "model.safetensors")
    assert {"layers.0.self_attn.q_proj.weight", "d2t", "lm_head.weight"} <= kept.keys()


@pytest.mark.parametrize("said", ["LlamaForCausalLMEagle3", "LlamaForCausalLM", "Eagle3DraftModel", None])
@pytest.mark.parametrize("layout", ["EAGLE-1", "EAGLE-3", "DeepSpec"])
def test_what_an_architecture_is_called_decides_nothing(layout: str, said: str | None, tmp_path: Path) -> None:
    """One name stands for several models in what is published; tensors and keys tell them apart."""
    names = [] if said is None else [said]
    for folder, published in (("plain", PUBLISHED[layout]()), ("named", changed(layout, architectures=names))):
        convert(written(tmp_path / f"{folder}-given", published), tmp_path / folder)
    plain, named = (json.loads((tmp_path / folder / "config.json").read_text()) for folder in ("plain", "named"))
    assert plain == named


REFUSED: dict[str, tuple[Published, str]] = {
    "no fc": (changed("EAGLE-3", ("fc.weight",)), "in no layout that is known"),
    "a norm is missing": (changed("EAGLE-3", ("midlayer.hidden_norm.weight",)), r"lack layers\.0\.hidden_norm\.weight"),
    "no queries": (
        changed("EAGLE-3", ("midlayer.self_attn.q_proj.weight",)),
        r"no matrix layers\.0\.self_attn\.q_proj",
    ),
    "a bias is said": (changed("EAGLE-1", bias=True), "bias=true, and there is no fc.bias"),
    "one state": (changed("EAGLE-1", add={"fc.weight": some(WIDTH, 3 * WIDTH)}), r"fc\.weight has shape \(64, 192\)"),
    "heads": (changed("EAGLE-1", num_attention_heads=5), "num_attention_heads=5"),
    "no heads": (changed("EAGLE-3", num_attention_heads=None), "num_attention_heads=None"),
    "taps": (changed("speculators", eagle_aux_hidden_state_layer_ids=[1]), r"is \[1\], and fc\.weight reads 2"),
    "layers": (changed("DeepSpec", target_layer_ids=[1, 2]), r"target_layer_ids is \[1, 2\], and fc\.weight reads 5"),
    "taps, words": (changed("speculators", eagle_aux_hidden_state_layer_ids="all"), "wanted a list of layers"),
    "marks": (changed("EAGLE-3", add={"d2t": torch.zeros(20).long()}), "tokens that t2d marks"),
    "target width": (changed("speculators", target_hidden_size=50), "target_hidden_size is 50"),
    "norm_output": (changed("SpecForge", norm_output=None), "does not say norm_output"),
    "vocabulary": (changed("EAGLE-3.1", vocab_size=None), "vocab_size=None"),
    "P-EAGLE": (changed("EAGLE-3", add={"mask_hidden": some(1, 1, 64)}), "looks like P-EAGLE"),
    "MTP": (
        Published({"mtp.fc.weight": some(64, 128), "mtp.layers.0.self_attn.q_proj.weight": some(64, 64)}, {}, (), 16),
        r"holds mtp\.fc\.weight and looks like MTP, a layer of the target's own",
    ),
    "MTP beside a drafter": (changed("EAGLE-3", add={"mtp.norm.weight": some(64)}), r"holds mtp\.norm\.weight and"),
    "MTP of speculators": (
        Published({"mtp_layers.0.input_proj.weight": some(64, 128)}, {"speculators_model_type": "mtp"}, (), 16),
        r"holds mtp_layers\.0\.input_proj\.weight and looks like MTP",
    ),
    "EAGLE-4": (changed("EAGLE-3", add={"efficient_lm_head.weight": some(4, 4)}), "looks like EAGLE-4"),
    "an object": (changed("EAGLE-3", rope_scaling="llama3"), "rope_scaling='llama3'"),
}


RUN: dict[str, tuple[Published, str]] = {
    "a reduced output layer without offsets": (changed("EAGLE-3", ("d2t", "t2d")), "score 20 tokens and lack d2t"),
    "a table": (changed("speculators", ("embed_tokens.weight",)), "lack embed_tokens.weight"),
    "an output layer": (changed("speculators", ("lm_head.weight", "d2t", "t2d")), "lack lm_head.weight"),
    "layers beyond": (changed("EAGLE-3.1", eagle_aux_hidden_state_layer_ids=[2, 4, 9]), r"read states \[9\]"),
}
"""What is converted, and refused for a target."""


@pytest.mark.parametrize("case", REFUSED | RUN)
def test_a_refused_file_names_the_key_or_shape(case: str, tmp_path: Path) -> None:
    published, told = (REFUSED | RUN)[case]
    with pytest.raises(BadInput, match=told):
        made(tmp_path, published)
