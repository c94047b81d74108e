"""DFlash's published checkpoints: converted, run, equal to their description; traps of the formats; what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from toys import prompt_ids

from engine import drafters
from engine.checkpoints import convert
from engine.drafters.base import Room
from engine.errors import BadInput
from tests.engine.checkpoints import begun
from tests.engine.checkpoints.begun import Tensors, written
from tests.engine.checkpoints.dflash_layouts import PUBLISHED, Published, Reference, made, started
from tests.engine.checkpoints.eagle_layouts import NUM_TOKENS, some, target

PROMPT = prompt_ids(11)


@pytest.mark.parametrize("layout", PUBLISHED)
def test_what_is_published_drafts_what_its_description_says(layout: str, in_either_form: None, tmp_path: Path) -> None:
    """Tokens through d2t and their probabilities; layers counted as each format does; windows; who is asked."""
    published = PUBLISHED[layout]()
    drafter = made(tmp_path, published, tree="chain")
    assert drafter.needs.hidden_layers == published.taps
    context = started(drafter, PROMPT)
    tree = drafter.propose(context, Room(16))
    tokens, probs = Reference(published, context).chain()
    assert list(tree.tokens) == tokens
    assert tree.parents == tuple(range(-1, len(tokens) - 1))
    assert tree.draft_probs == pytest.approx(probs, rel=1e-3)


def changed(
    layout: str,
    drop: tuple[str, ...] = (),
    add: Tensors | None = None,
    nested: dict[str, Any] | None = None,
    **more: Any,
) -> Published:
    """`nested`: other words in z-lab's own part of the config."""
    if nested:
        more["dflash_config"] = {**PUBLISHED[layout]().config["dflash_config"], **nested}
    return begun.changed(PUBLISHED, layout, drop, add, **more)


CAUSAL: dict[str, tuple[Published, tuple[bool, bool]]] = {
    "windows, and nothing said": (changed("speculators", sliding_window_non_causal=None), (True, True)),
    "non-causal windows denied": (changed("speculators", sliding_window_non_causal=False), (True, True)),
    "denied, and one has no window": (changed("z-lab, windows", sliding_window_non_causal=False), (True, False)),
    "denied, and none has a window": (changed("z-lab", sliding_window_non_causal=False), (False, False)),
    "is_causal denied": (changed("z-lab, windows", is_causal=False), (False, False)),
    "is_causal": (changed("z-lab", is_causal=True), (True, True)),
    "is_causal against the windows' key": (changed("speculators", is_causal=True), (True, True)),
    "is_causal, nested": (changed("z-lab, windows", nested={"is_causal": False}), (False, False)),
    "causal, nested": (changed("z-lab", nested={"causal": True}), (True, True)),
    "is_causal against causal": (changed("z-lab", is_causal=False, nested={"causal": True}), (False, False)),
}


@pytest.mark.parametrize("case", CAUSAL)
def test_whether_a_block_is_causal_is_as_its_config_says(case: str, in_either_form: None, tmp_path: Path) -> None:
    """Said of all layers, said of those with a window, or not said; another reading gives other probabilities."""
    published, causal = CAUSAL[case]
    drafter = made(tmp_path, published, tree="chain")
    context = started(drafter, PROMPT)
    found = drafter.propose(context, Room(16))
    tokens, probs = Reference(dataclasses.replace(published, causal=causal), context).chain()
    assert (list(found.tokens), found.draft_probs) == (tokens, pytest.approx(probs, rel=1e-3))
    others = {(is_first, is_second) for is_first in (True, False) for is_second in (True, False)} - {causal}
    for other in others:
        assert Reference(dataclasses.replace(published, causal=other), context).chain()[1] != pytest.approx(probs, 1e-3)


REFUSED: dict[str, tuple[Published, str]] = {
    "order in words": (changed("z-lab", is_causal="false"), "is_causal='false'; wanted true or false"),
    "windows' order in numbers": (changed("speculators", sliding_window_non_causal=0), "non_causal=0; wanted true or"),
    "no features": (changed("z-lab", ("hidden_norm.weight",)), "looks like a whole model"),
    "a norm is missing": (changed("z-lab", ("layers.1.input_layernorm.weight",)), r"lack layers\.1\.input_layernorm"),
    "no layer": (changed("z-lab", ("layers.0.self_attn.q_proj.weight",)), r"no matrix layers\.0\.self_attn\.q_proj"),
    "no layers": (changed("z-lab, windows", num_target_layers=None), "names no target_layer_ids"),
    "layers of another number": (changed("z-lab", nested={"target_layer_ids": [1, 2, 3, 4, 5]}), "has 192 columns"),
    "layers in words": (changed("speculators", aux_hidden_state_layer_ids="all"), "wanted a list of layers"),
    "no mask": (changed("z-lab", nested={"mask_token_id": None}), "mask_token_id=None"),
    "no block": (changed("speculators", block_size=None), "block_size=None"),
    "kinds of layers": (changed("z-lab", layer_types=["full_attention", "mamba"]), "wanted 2 of full_attention"),
    "a kind that is none": (changed("z-lab", layer_types=["full_attention", {}]), "wanted 2 of full_attention"),
    "a scale of text": (changed("z-lab", input_embedding_scale="x"), "input_embedding_scale='x'; wanted a number"),
    "a scale that no float holds": (changed("z-lab", input_embedding_scale=10**400), "wanted a number"),
    "layers without end": (changed("z-lab, windows", num_target_layers=10**400), "names no target_layer_ids"),
    "no window": (changed("z-lab, windows", sliding_window=None), "sliding_window is 0"),
    "JetSpec": (changed("z-lab", nested={"causal_head": True}), "causal_head=True: these weights are no dflash"),
    "Domino by its config": (changed("speculators", projector_type="domino"), "projector_type='domino'"),
    "Domino": (changed("speculators", add={"prefix_gru.weight_ih_l0": some(4, 4)}), "looks like Domino"),
    "marks": (changed("speculators", add={"d2t": some(20).long()}), "tokens that t2d marks"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_file_names_the_key_or_shape(case: str, tmp_path: Path) -> None:
    published, told = REFUSED[case]
    with pytest.raises(BadInput, match=told):
        made(tmp_path, published)


def test_a_mask_that_the_target_does_not_embed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"mask_token_id in .* is {NUM_TOKENS}"):
        made(tmp_path, changed("z-lab", nested={"mask_token_id": NUM_TOKENS}))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"block_size": 1}, "block_size in .* is 1; wanted 2 to 33"),
        ({"windows": [1]}, r"windows in .* is \[1\]; wanted 2 numbers"),
        ({"hidden_layers": [2, 4, 99]}, r"read states \[99\]"),
        ({"logit_scale": "much"}, "logit_scale in .* is 'much'; wanted a number"),
        ({"rope": "llama3"}, "rope in .* is 'llama3'"),
        ({"num_key_value_heads": 3}, "key heads do not divide"),
    ],
)
def test_a_broken_config_is_a_sentence(config: dict[str, Any], told: str, tmp_path: Path) -> None:
    convert(written(tmp_path / "published", PUBLISHED["z-lab"]()), tmp_path / "out")
    path = tmp_path / "out" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    with pytest.raises(BadInput, match=told):
        drafters.create("dflash", {"weights": str(tmp_path / "out")}, target())
