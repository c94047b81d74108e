"""What published drafters with decoder layers say alike: sizes of a layer, rotary embedding, tokens.

Sizes come from tensors, and only what they cannot tell from the config. Knows names, shapes and config keys; no method.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.checkpoints.layouts import Config, sizes
from engine.errors import BadInput


def layer_sizes(tensors: Mapping[str, Tensor], config: Config, layer: str, size: int, given: int) -> Config:
    """Of a layer of `size`, whose attention reads `given` numbers, under this project's keys. Raises BadInput."""
    own = f"{layer}.self_attn"
    (queries, read), (keys, _) = (sizes(tensors, f"{own}.{name}_proj.weight") for name in "qk")
    if read != given:
        raise BadInput(f"{own}.q_proj.weight has {read} columns; wanted {given}.")
    heads = config.get("num_attention_heads")
    dim = config.get("head_dim") or (size // heads if type(heads) is int and heads > 0 else None)
    if type(dim) is not int or dim < 1 or queries % dim or keys % dim or heads != queries // dim:
        raise BadInput(
            f"num_attention_heads={heads!r:.40} and head_dim={config.get('head_dim')!r:.40} of the config do not fit "
            f"{own}.q_proj.weight {(queries, read)}."
        )
    return {
        "hidden_size": size,
        "num_attention_heads": heads,
        "num_key_value_heads": keys // dim,
        "head_dim": dim,
        "intermediate_size": sizes(tensors, f"{layer}.mlp.gate_proj.weight")[0],
        "rms_norm_eps": config.get("rms_norm_eps", 1e-6),
        "rope": _rope(config),
        "max_position_embeddings": config.get("max_position_embeddings", 4096),
    }


def _rope(config: Config) -> Config:
    """The drafter's own rotary embedding, in transformers' newer form."""
    if rope := nested(config, "rope_parameters"):
        return rope
    scaling = dict(nested(config, "rope_scaling"))
    kind = scaling.pop("type", None)
    return {"rope_type": kind or "default", **scaling, "rope_theta": config.get("rope_theta", 10_000.0)}


def vocabulary(tensors: Mapping[str, Tensor], config: Config) -> int:
    """Tokens of the target that it was made for. Raises BadInput where offsets lead to others than those marked."""
    if "d2t" in tensors and "t2d" in tensors:
        offsets, marks = tensors["d2t"], tensors["t2d"]
        is_list = offsets.dim() == marks.dim() == 1
        ids = torch.arange(len(offsets)) + offsets.long() if is_list else offsets
        if not is_list or not torch.equal(ids.sort().values, marks.bool().nonzero().flatten()):
            raise BadInput("d2t, added to row numbers, does not give the tokens that t2d marks.")
    for name in ("t2d", "embed_tokens.weight"):
        if name in tensors and tensors[name].dim():
            return len(tensors[name])
    found = config.get("vocab_size")
    if type(found) is not int or found < 1:
        raise BadInput(f"The config says vocab_size={found!r:.40}; wanted how many tokens the target has.")
    return found


def nested(config: Config, key: str) -> dict[str, Any]:
    """An object of the config, empty where there is none. Raises BadInput."""
    found = config.get(key) or {}
    if not isinstance(found, dict):
        raise BadInput(f"The config says {key}={found!r:.40}; wanted an object.")
    return found


def layers_named(config: Config, key: str) -> list[int] | None:
    """A list of the target's layers, where there is one. Raises BadInput."""
    found = config.get(key)
    if found is not None and (not isinstance(found, list) or not all(type(layer) is int for layer in found)):
        raise BadInput(f"{key} is {found!r:.60}; wanted a list of layers.")
    return found
