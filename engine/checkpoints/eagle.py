"""EAGLE's published layouts: SafeAILab's of EAGLE-1, -2 and -3, SpecForge's, and vLLM's `speculators`.

Sizes come from tensors, flags from the config; which EAGLE it is the tensors tell. What a file leaves open is never
guessed: taps that are not named are the default of the target that it is loaded for, and a SpecForge file has to say
`norm_output`, whose default is not the same everywhere. Knows names, shapes and config keys; reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.checkpoints.layouts import Config, Layout, sizes
from engine.errors import BadInput

LAYER, TAPS = "layers.0", "eagle_aux_hidden_state_layer_ids"
_SHARED = {
    r"(?:model\.)?(fc)\.(weight|bias)": r"\1.\2",
    r"(?:model\.)?(embed_tokens)\.weight": r"\1.weight",
    r"(?:model\.)?(?:layers\.0|midlayer)\.(self_attn\.[qkv]_proj)\.(weight|bias)": rf"{LAYER}.\1.\2",
    r"(?:model\.)?(?:layers\.0|midlayer)\.(self_attn\.o_proj)\.weight": rf"{LAYER}.\1.weight",
    r"(?:model\.)?(?:layers\.0|midlayer)\.(mlp\.(?:gate|up|down)_proj)\.weight": rf"{LAYER}.\1.weight",
    r"(?:model\.)?(?:layers\.0|midlayer)\.(post_attention_layernorm)\.weight": rf"{LAYER}.\1.weight",
}
_FUSED = {
    r"(?:model\.)?(?:layers\.0|midlayer)\.(input_layernorm|hidden_norm)\.weight": rf"{LAYER}.\1.weight",
    r"(?:model\.)?(?:layers\.0|midlayer)\.(self_attn\.[qk]_norm)\.weight": rf"{LAYER}.\1.weight",
    r"(?:model\.)?(norm|input_norm|fc_norm\.\d+)\.weight": r"\1.weight",
    r"(lm_head)\.weight": r"\1.weight",
    r"(?:model\.)?(d2t|t2d)": r"\1",
}


def _first(tensors: Mapping[str, Tensor], config: Config) -> Config:
    """Of EAGLE-1 and -2."""
    width, both = sizes(tensors, "fc.weight")
    if both != 2 * width:
        raise BadInput(f"fc.weight has shape {(width, both)}; wanted {(width, 2 * width)}, of embedding and state.")
    has_bias = "fc.bias" in tensors
    if config.get("bias") and not has_bias:
        raise BadInput("The config says bias=true, and there is no fc.bias.")
    found = {"version": 1, "fc_bias": has_bias, "target_hidden_size": width, "hidden_layers": [-1]}
    return _layer(tensors, config, width) | found


def _fused(tensors: Mapping[str, Tensor], config: Config) -> Config:
    """Of EAGLE-3 and 3.1."""
    layer = _object(config, "transformer_layer_config") or config
    width, states = sizes(tensors, "fc.weight")
    of_target = config.get("target_hidden_size") or width
    if type(of_target) is not int or of_target < 1 or states % of_target:
        raise BadInput(f"fc.weight has {states} columns, and target_hidden_size is {of_target!r:.40}.")
    found = _layer(tensors, layer, 2 * width) | {"version": 3, "target_hidden_size": of_target}
    found["vocab_size"] = _checked_vocabulary(tensors, found["vocab_size"])
    found["fc_bias"] = "fc.bias" in tensors
    found["norm_before_residual"] = bool(config.get("norm_before_residual", False))
    found["norm_output"] = _norm_output(config)
    found["norm_before_fc"], found["fc_norm"] = "input_norm.weight" in tensors, "fc_norm.0.weight" in tensors
    taps = _taps(config)
    if taps is None and states == 3 * of_target:
        return found
    if taps is None or len(taps) * of_target != states:
        raise BadInput(f"{TAPS} is {taps!r:.60}, and fc.weight reads {states // of_target} states.")
    return found | {"hidden_layers": taps}


def _layer(tensors: Mapping[str, Tensor], config: Config, width: int) -> Config:
    """The layer's sizes, by its tensors and by what only a config says."""
    own = f"{LAYER}.self_attn"
    size, (queries, given), (keys, _) = (
        sizes(tensors, "fc.weight")[0],
        sizes(tensors, f"{own}.q_proj.weight"),
        sizes(tensors, f"{own}.k_proj.weight"),
    )
    if given != width:
        raise BadInput(f"{own}.q_proj.weight has {given} columns; wanted {width}.")
    heads = config.get("num_attention_heads")
    dim = config.get("head_dim") or (size // heads if type(heads) is int and heads > 0 else None)
    if type(dim) is not int or dim < 1 or queries % dim or keys % dim or heads != queries // dim:
        raise BadInput(
            f"num_attention_heads={heads!r:.40} and head_dim={config.get('head_dim')!r:.40} of the config do not fit "
            f"{own}.q_proj.weight {(queries, given)}."
        )
    return {
        "method": "eagle",
        "hidden_size": size,
        "num_attention_heads": heads,
        "num_key_value_heads": keys // dim,
        "head_dim": dim,
        "intermediate_size": sizes(tensors, f"{LAYER}.mlp.gate_proj.weight")[0],
        "vocab_size": _vocabulary(tensors, config),
        "rms_norm_eps": config.get("rms_norm_eps", 1e-6),
        "rope": _rope(config),
        "max_position_embeddings": config.get("max_position_embeddings", 4096),
    }


def _rope(config: Config) -> Config:
    """The drafter's own rotary embedding, in transformers' newer form."""
    if rope := _object(config, "rope_parameters"):
        return rope
    scaling = dict(_object(config, "rope_scaling"))
    kind = scaling.pop("type", None)
    return {"rope_type": kind or "default", **scaling, "rope_theta": config.get("rope_theta", 10_000.0)}


def _vocabulary(tensors: Mapping[str, Tensor], config: Config) -> int:
    """Tokens of the target that it was made for."""
    for name in ("t2d", "embed_tokens.weight"):
        if name in tensors:
            return len(tensors[name])
    found = config.get("vocab_size")
    if type(found) is not int or found < 1:
        raise BadInput(f"The config says vocab_size={found!r:.40}; wanted how many tokens the target has.")
    return found


def _checked_vocabulary(tensors: Mapping[str, Tensor], vocab_size: int) -> int:
    """The same, where offsets lead to the tokens that are marked as drafted."""
    if "d2t" in tensors and "t2d" in tensors:
        ids = torch.arange(len(tensors["d2t"])) + tensors["d2t"].long()
        marked = tensors["t2d"].bool().nonzero().flatten()
        if not torch.equal(ids.sort().values, marked):
            raise BadInput("d2t, added to row numbers, does not give the tokens that t2d marks.")
    return vocab_size


def _taps(config: Config) -> list[int] | None:
    """As indices into transformers' hidden_states; SpecForge counts the layers that give them, from 0."""
    nested = _object(config, "eagle_config").get(TAPS)
    taps, offset = (nested, 1) if nested is not None else (config.get(TAPS), 0)
    if taps is None:
        return None
    if not isinstance(taps, list) or not all(type(tap) is int for tap in taps):
        raise BadInput(f"{TAPS} is {taps!r:.60}; wanted a list of layers.")
    return [tap + offset for tap in taps]


def _norm_output(config: Config) -> bool:
    nested = _object(config, "eagle_config")
    said = config.get("norm_output", nested.get("norm_output"))
    if said is None and nested:
        raise BadInput(
            "The config has eagle_config and does not say norm_output, whose default differs between programs; add "
            'it: "norm_output": false for weights from before EAGLE-3.1.'
        )
    return bool(said)


def _object(config: Config, key: str) -> dict[str, Any]:
    found = config.get(key) or {}
    if not isinstance(found, dict):
        raise BadInput(f"The config says {key}={found!r:.40}; wanted an object.")
    return found


EAGLE_LAYOUTS = (
    Layout("eagle", "SafeAILab/EAGLE 1 and 2", _SHARED, _first, needs="fc.weight"),
    Layout("eagle", "EAGLE-3: SafeAILab, SpecForge, vLLM speculators", _SHARED | _FUSED, _fused, needs="fc.weight"),
)
