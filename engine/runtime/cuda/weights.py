"""A Llama-shaped model's weights as static passes read them: products that share their input are one matrix.

The model keeps its own weights as views of the fused ones, so that nothing is held twice, and transformers' own
forward, trained heads and whoever else reads them go on as before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.runtime.families import COMPILED, family_of

_ROPES = ("default", "linear", "llama3", "yarn")
"""Those whose frequencies never change."""
QUANTISED = "its weights are quantised"


@dataclass(frozen=True)
class Layer:
    """One decoder layer; matrices are (outputs, inputs)."""

    input_norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    query_norm: Tensor | None
    key_norm: Tensor | None
    output: Tensor
    mlp_norm: Tensor
    gate_up: Tensor
    down: Tensor
    window: int | None
    """Tokens that a row looks back at, itself among them; None for all."""


@dataclass(frozen=True)
class Weights:
    """All of a model's."""

    embedding: Tensor
    layers: tuple[Layer, ...]
    norm: Tensor
    frequencies: Tensor
    """(d ÷ 2,) of the rotary embedding."""
    rotary_scale: float
    num_heads: int
    num_kv_heads: int
    head_dim: int
    epsilon: float


def reason_against(model: PreTrainedModel) -> str:
    """Why static passes cannot run a model, to follow "because"; empty where they can."""
    config: Any = model.config
    if config.model_type not in COMPILED:
        return f"the {family_of(model)} family has no static pass"
    if reason := reason_in_weights(model):
        return reason
    if any(type(module) is not nn.Linear for module in _products(model)):
        return QUANTISED
    rope = config.rope_parameters or {}
    if (kind := rope.get("rope_type", "default")) not in _ROPES or rope.get("partial_rotary_factor", 1.0) != 1.0:
        return f"its rotary embedding ({kind}) is of another kind"
    has_further_bias = getattr(config, "mlp_bias", False) or _layers(model)[0].self_attn.o_proj.bias is not None
    if has_further_bias or config.hidden_act != "silu":
        return "its layers have parts that the static pass leaves out"
    return ""


def reason_in_weights(model: object) -> str:
    """Why nothing that reads a model's weights can be captured, to follow "because"; empty where it can."""
    if len(set(map(str, (getattr(model, "hf_device_map", None) or {}).values()))) > 1:
        return "its layers are on several devices"
    return QUANTISED if getattr(model, "hf_quantizer", None) is not None else ""


def fuse(model: PreTrainedModel) -> Weights:
    """The weights, fused layer by layer."""
    config: Any = model.config
    base: Any = model.get_decoder()
    attention = base.layers[0].self_attn
    return Weights(
        embedding=cast(nn.Embedding, model.get_input_embeddings()).weight,
        layers=tuple(_layer(layer, window) for layer, window in zip(base.layers, windows(config), strict=True)),
        norm=base.norm.weight,
        frequencies=base.rotary_emb.inv_freq.float(),
        rotary_scale=float(base.rotary_emb.attention_scaling),
        num_heads=config.num_attention_heads,
        num_kv_heads=config.num_key_value_heads,
        head_dim=int(attention.head_dim),
        epsilon=float(config.rms_norm_eps),
    )


def windows(config: Any) -> list[int | None]:
    """Of each layer; a model whose every layer slides is run with a context no longer than its window."""
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    if "full_attention" not in kinds:
        return [None] * len(kinds)
    return [config.sliding_window if kind == "sliding_attention" else None for kind in kinds]


def _layer(layer: Any, window: int | None) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    qkv, bias = _fused(attention.q_proj, attention.k_proj, attention.v_proj)
    return Layer(
        input_norm=layer.input_layernorm.weight,
        qkv=qkv,
        qkv_bias=bias,
        query_norm=attention.q_norm.weight if hasattr(attention, "q_norm") else None,
        key_norm=attention.k_norm.weight if hasattr(attention, "k_norm") else None,
        output=attention.o_proj.weight,
        mlp_norm=layer.post_attention_layernorm.weight,
        gate_up=_fused(mlp.gate_proj, mlp.up_proj)[0],
        down=mlp.down_proj.weight,
        window=window,
    )


def _fused(*linears: Any) -> tuple[Tensor, Tensor | None]:
    """One matrix and bias of several layers, which become views of them."""
    sizes = [len(linear.weight) for linear in linears]
    weight = torch.cat([linear.weight.detach() for linear in linears])
    for linear, own in zip(linears, weight.split(sizes), strict=True):
        linear.weight = nn.Parameter(own, requires_grad=False)
    if linears[0].bias is None:
        return weight, None
    bias = torch.cat([linear.bias.detach() for linear in linears])
    for linear, own in zip(linears, bias.split(sizes), strict=True):
        linear.bias = nn.Parameter(own, requires_grad=False)
    return weight, bias


def _layers(model: PreTrainedModel) -> Any:
    base: Any = model.get_decoder()
    return base.layers


def _products(model: PreTrainedModel) -> list[nn.Module]:
    first = _layers(model)[0]
    attention = [getattr(first.self_attn, f"{name}_proj") for name in "qkvo"]
    return [*attention, *(getattr(first.mlp, f"{name}_proj") for name in ("gate", "up", "down"))]
