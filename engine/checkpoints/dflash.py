"""DFlash's published layouts: z-lab's flat config and vLLM's `speculators`.

Tensors have the same names in both; the config says what they cannot: the block, the mask, the target's layers, heads,
windows. z-lab counts the layers whose outputs are read, from 0; `speculators` gives indices into transformers'
hidden_states, one more. Where the config says nothing of order, a layer with a window sees the block causally and one
without does not. Drafters that are DFlash in name only (Domino's and JetSpec's heads) are refused. Knows names, shapes
and config keys; reads no file.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from engine.checkpoints.decoder import layer_sizes, layers_named, nested, vocabulary
from engine.checkpoints.layouts import Config, Layout, sizes
from engine.errors import BadInput

_OWN = r"self_attn\.(?:[qkvo]_proj|[qk]_norm)|mlp\.(?:gate|up|down)_proj|input_layernorm|post_attention_layernorm"
BACKBONE_NAMES = {
    rf"(?:model\.)?(layers\.\d+\.(?:{_OWN})\.weight)": r"\1",
    r"(?:model\.)?((?:fc|hidden_norm|norm|embed_tokens)\.weight)": r"\1",
    r"(lm_head\.weight|d2t|t2d)": r"\1",
}
_OTHERS: dict[str, tuple[object, ...]] = {
    "projector_type": (),
    "shift_label": (False,),
    "causal_head": (False,),
    "draft_shift": (0, False),
    "dspark_bonus_anchor": (False,),
}
"""Keys by which other drafters are told, and what DFlash has there."""
_ORDERS = ("is_causal", "causal")
"""Keys that say of all layers whether their rows see none behind them, the stronger first."""
_NON_CAUSAL = "sliding_window_non_causal"
"""Of layers with a window; those without see the whole block either way."""
MOST_LAYERS = 1_000
"""Of a target; a config may say anything."""
_SCALES = {
    "embedding_scale": "input_embedding_scale",
    "logit_scale": "output_multiplier",
    "logit_softcap": "final_logit_softcapping",
}


def _dflash(tensors: Mapping[str, Tensor], config: Config) -> Config:
    """The method's config, of either layout."""
    # DeepSpec's DFlash is its DSpark without heads, whose root is asked.
    return backbone(tensors, config, "dflash", is_anchor_asked="markov_rank" in told_of(config))


def told_of(config: Config) -> Config:
    """A flat config's keys, and those of the part in which some layouts keep a drafter's own."""
    return {**config, **nested(config, "dflash_config")}


def backbone(tensors: Mapping[str, Tensor], config: Config, method: str, *, is_anchor_asked: bool) -> Config:
    """The config of DFlash's layers, under a method on them.

    `is_anchor_asked`: whether the root's row foresees a token, where the config does not say. Raises BadInput.
    """
    told = told_of(config)
    layers = nested(config, "transformer_layer_config") or config
    for key, known in _OTHERS.items():
        if told.get(key) not in (None, *known, *([method] if key == "projector_type" else [])):
            raise BadInput(
                f"The config says {key}={told[key]!r:.40}: these weights are no {method}, but built like it."
            )
    size, states = sizes(tensors, "fc.weight")
    num_layers = 1 + max((int(name.split(".")[1]) for name in tensors if name.startswith("layers.")), default=-1)
    found = {
        "method": method,
        **layer_sizes(tensors, layers, "layers.0", size, size),
        "vocab_size": vocabulary(tensors, layers),
        "num_hidden_layers": num_layers,
        "block_size": _number(told, "block_size"),
        "mask_token_id": _number(told, "mask_token_id"),
        "sample_from_anchor": bool(told.get("sample_from_anchor", is_anchor_asked)),
        **_windows(config, layers, num_layers),
        **{own: _real(told, key) for own, key in _SCALES.items() if told.get(key)},
    }
    taps = _taps(told, states, size)
    if not taps or states % len(taps):
        raise BadInput(f"The config names the target's layers {taps}, and fc.weight has {states} columns.")
    return found | {"hidden_layers": taps, "target_hidden_size": states // len(taps)}


def _taps(told: Config, states: int, size: int) -> list[int]:
    """As indices into transformers' hidden_states; where z-lab's are not named, as its code spaces them."""
    if (given := layers_named(told, "aux_hidden_state_layer_ids")) is not None:
        return given
    if (given := layers_named(told, "target_layer_ids")) is not None:
        return [layer + 1 for layer in given]
    num_layers, num = told.get("num_target_layers"), states // size
    if type(num_layers) is not int or not 4 <= num_layers <= MOST_LAYERS or num < 1:
        raise BadInput(f"The config names no target_layer_ids, and num_target_layers is {num_layers!r:.40}.")
    if num == 1:
        return [num_layers // 2 + 1]
    return [round(1 + place * (num_layers - 4) / (num - 1)) + 1 for place in range(num)]


def _windows(config: Config, layers: Config, num_layers: int) -> Config:
    """How far each layer looks back, and whether its rows see those behind them in the block."""
    kinds: Any = layers.get("layer_types") or ["full_attention"] * num_layers
    window = layers.get("sliding_window") or 0
    known = {"full_attention": 0, "sliding_attention": window}
    if not isinstance(kinds, list) or len(kinds) != num_layers or any(kind not in [*known] for kind in kinds):
        raise BadInput(f"layer_types is {kinds!r:.80}; wanted {num_layers} of {', '.join(known)}.")
    windows = [known[kind] for kind in kinds]
    if "sliding_attention" in kinds and (type(window) is not int or window < 1):
        raise BadInput(f"layer_types has windows, and sliding_window is {window!r:.40}.")
    is_causal = _is_causal(told_of(config))
    causal = [int(bool(window) if is_causal is None else is_causal) for window in windows]
    return {"windows": windows if any(windows) else [], "causal": causal if any(causal) else []}


def _is_causal(told: Config) -> bool | None:
    """What is said of all layers; None where it goes by each layer's window, which may see back only."""
    for key in (*_ORDERS, _NON_CAUSAL):
        if told.get(key) is not None and type(told[key]) is not bool:
            raise BadInput(f"The config says {key}={told[key]!r:.40}; wanted true or false.")
    said = next((bool(told[key]) for key in _ORDERS if told.get(key) is not None), None)
    return False if said is None and told.get(_NON_CAUSAL) else said


def _number(told: Config, key: str) -> int:
    found = told.get(key)
    if type(found) is not int or found < 0:
        raise BadInput(f"The config says {key}={found!r:.40}; wanted a whole number.")
    return found


def _real(told: Config, key: str) -> float:
    found = told[key]
    if type(found) not in (int, float) or not abs(found) <= sys.float_info.max:
        raise BadInput(f"The config says {key}={found!r:.40}; wanted a number.")
    return float(found)


DFLASH_LAYOUTS = (
    Layout("dflash", "DFlash: z-lab, vLLM speculators", BACKBONE_NAMES, _dflash, needs="hidden_norm.weight"),
)
