"""Hydra's published checkpoints: converted, run, equal to their description; what is left out, and what is refused."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from toys import prompt_ids

from engine.checkpoints import convert
from engine.drafters.base import Room
from engine.drafters.heads import _layers
from engine.errors import BadInput
from tests.engine.checkpoints import begun
from tests.engine.checkpoints.begun import written
from tests.engine.checkpoints.hydra_layouts import (
    PUBLISHED,
    WIDTH,
    Published,
    Reference,
    made,
    some,
    started,
)

PROMPT = prompt_ids(9)
changed = functools.partial(begun.changed, PUBLISHED)


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize("layout", PUBLISHED)
def test_what_is_published_drafts_what_its_description_says(
    layout: str, is_compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every node of the released tree: the token of its rank behind its own parent, and its probability."""
    if not is_compiled:
        monkeypatch.setattr(_layers, "MOST_COMPILED", 0)
    published = PUBLISHED[layout]()
    drafter = made(tmp_path, published, tree="static", budget=64)
    context = started(drafter, PROMPT)
    tree = drafter.propose(context, Room(64))
    assert len(tree) == len(drafter.shape) > 50
    assert tree.draft_probs is not None
    reference = Reference(published, context)
    for node, path in enumerate(drafter.shape.paths):
        law = reference.law([tree.tokens[i] for i in tree.path_to(node)[:-1]])
        assert tree.tokens[node] == int(law.argsort(descending=True)[path[-1]])
        assert tree.draft_probs[node] == pytest.approx(float(law[tree.tokens[node]]), rel=2e-3)


def test_blocks_are_counted_and_what_is_not_the_drafters_is_left_out(tmp_path: Path) -> None:
    """Dropout's slots lie between blocks; embeddings and angles are the target's, or nobody's."""
    convert(written(tmp_path / "published", PUBLISHED["Hydra++"]()), tmp_path / "out")
    kept = load_file(tmp_path / "out" / "model.safetensors")
    assert {f"hydra_mlp.2.{block}.linear.weight" for block in range(4)} <= kept.keys()
    assert {"hydra_lm_head.0.bias", "prefix.attention_norm.weight", "prefix.norm.weight"} <= kept.keys()
    assert not [name for name in kept if "embed" in name or "inv_freq" in name]
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["hydra_num_heads"], config["hydra_num_layers"], config["hydra_head_arch"]) == (3, 4, "prefix-mlp")
    assert "num_attention_heads" not in config


def test_states_before_the_last_layers_are_read_where_the_config_says_so(tmp_path: Path) -> None:
    published = changed("Hydra", hidden_state_offset=1)
    assert made(tmp_path, published).needs.hidden_layers == (-2,)


LAYER = "prefix_embeding_layer.layers.0"
REFUSED: dict[str, tuple[Published, str]] = {
    "heads that see no tokens": (
        changed("Hydra", ("hydra_mlp.1.0.res_connection.weight",)),
        r"no hydra_mlp\.1\.0\.res_connection\.weight: such heads \(grounded_heads=false\)",
    ),
    "a width": (
        changed("Hydra", add={"hydra_mlp.2.0.linear.weight": some(WIDTH, 3 * WIDTH)}),
        r"hydra_mlp\.2\.0\.linear\.weight has shape \(64, 192\); wanted \(64, 256\)",
    ),
    "another number of heads": (changed("Hydra", hydra_num_heads=5), "hydra_num_heads=5, and the tensors 3"),
    "another depth": (changed("Hydra++", hydra_num_layers=2), "hydra_num_layers=2, and the tensors 4"),
    "another architecture": (changed("Hydra", hydra_head_arch="eagle-attn"), "hydra_head_arch='eagle-attn'"),
    "a layer that is said": (changed("Hydra", hydra_head_arch="prefix-mlp"), "'prefix-mlp', and the tensors 'mlp'"),
    "an offset": (changed("Hydra", hidden_state_offset="last"), "hidden_state_offset='last'"),
    "two layers": (
        changed("Hydra++", add={"prefix_embeding_layer.layers.1.mlp.up_proj.weight": some(4, 4)}),
        "Hydra of another kind",
    ),
    "cross-attention": (
        Published({"hydra_mlp.self_attn.q_proj.weight": some(4, 4)}, {}, 1),
        "looks like Hydra of another kind",
    ),
    "no bias": (changed("Hydra", ("hydra_mlp.0.1.linear.bias",)), r"lack hydra_mlp\.0\.1\.linear\.bias"),
    "no norm": (changed("Hydra++", (f"{LAYER}.input_layernorm.weight",)), r"lack prefix\.attention_norm\.weight"),
    "other heads of attention": (changed("Hydra++", num_attention_heads=5), "5 attention heads"),
    "tokens": (
        changed("Hydra", add={"hydra_lm_head.0.weight": some(70, WIDTH), "hydra_lm_head.0.bias": some(70)}),
        "for a target of width 64 with 70 tokens",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_file_names_the_key_or_shape(case: str, tmp_path: Path) -> None:
    published, told = REFUSED[case]
    with pytest.raises(BadInput, match=told):
        made(tmp_path, published)
