"""EAGLE's published layouts: SafeAILab's of EAGLE-1, -2 and -3, SpecForge's, DeepSpec's, and vLLM's `speculators`.

Sizes come from tensors, flags from the config; which EAGLE it is the tensors tell. What a file leaves open is never
guessed: taps that are not named are the default of the target that it is loaded for, and a SpecForge file has to say
`norm_output`, whose default is not the same everywhere. Knows names, shapes and config keys; reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from engine.checkpoints.decoder import layer_sizes, layers_named, nested, vocabulary
from engine.checkpoints.layouts import Config, Layout, sizes
from engine.errors import BadInput

LAYER, TAPS, TAPPED = "layers.0", "eagle_aux_hidden_state_layer_ids", "target_layer_ids"
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
    return _sizes(tensors, config, width, width) | found


def _fused(tensors: Mapping[str, Tensor], config: Config) -> Config:
    """Of EAGLE-3 and 3.1."""
    layer = nested(config, "transformer_layer_config") or config
    width, states = sizes(tensors, "fc.weight")
    of_target = config.get("target_hidden_size") or width
    if type(of_target) is not int or of_target < 1 or states % of_target:
        raise BadInput(f"fc.weight has {states} columns, and target_hidden_size is {of_target!r:.40}.")
    found = _sizes(tensors, layer, width, 2 * width) | {"version": 3, "target_hidden_size": of_target}
    found["fc_bias"] = "fc.bias" in tensors
    found["norm_before_residual"] = bool(config.get("norm_before_residual", False))
    found["norm_output"] = _norm_output(config)
    found["norm_before_fc"], found["fc_norm"] = "input_norm.weight" in tensors, "fc_norm.0.weight" in tensors
    taps = _taps(config)
    if taps is None and states == 3 * of_target:
        return found
    if taps is None or len(taps) * of_target != states:
        key = TAPPED if TAPPED in config and TAPS not in config else TAPS
        raise BadInput(f"{key} is {config.get(key)!r:.60}, and fc.weight reads {states // of_target} states.")
    return found | {"hidden_layers": taps}


def _sizes(tensors: Mapping[str, Tensor], config: Config, size: int, given: int) -> Config:
    return {
        "method": "eagle",
        **layer_sizes(tensors, config, LAYER, size, given),
        "vocab_size": vocabulary(tensors, config),
    }


def _taps(config: Config) -> list[int] | None:
    """As indices into transformers' hidden_states; SpecForge and DeepSpec count the layers that give them, from 0."""
    counted = layers_named(nested(config, "eagle_config"), TAPS)
    if counted is None and (taps := layers_named(config, TAPS)) is not None:
        return taps
    counted = layers_named(config, TAPPED) if counted is None else counted
    return None if counted is None else [layer + 1 for layer in counted]


def _norm_output(config: Config) -> bool:
    own = nested(config, "eagle_config")
    said = config.get("norm_output", own.get("norm_output"))
    if said is None and own:
        raise BadInput(
            "The config has eagle_config and does not say norm_output, whose default differs between programs; add "
            'it: "norm_output": false for weights from before EAGLE-3.1.'
        )
    return bool(said)


EAGLE_LAYOUTS = (
    Layout("eagle", "SafeAILab/EAGLE 1 and 2", _SHARED, _first, needs="fc.weight"),
    Layout(
        "eagle",
        "EAGLE-3: SafeAILab, SpecForge, DeepSpec, vLLM speculators",
        _SHARED | _FUSED,
        _fused,
        needs="fc.weight",
    ),
)
