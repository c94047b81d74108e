"""Hydra's weights as a folder holds them: the heads' matrices and, for Hydra++, a decoder layer before them.

Names are the published ones (`hydra_mlp.{head}.{block}`, `hydra_lm_head.{head}`), those of the layer `prefix.*`. What a
config leaves open of that layer is the target's own: the released code makes it of a copy of the target's config. Knows
tensors and a config; runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from engine.drafters.heads._candidates import Tokens
from engine.drafters.heads._decoder_layer import LayerWeights
from engine.drafters.heads._weights import CONFIG_FILE, Weights
from engine.errors import BadInput

if TYPE_CHECKING:
    from engine.models import LoadedModel

Affine = tuple[Tensor, Tensor]
"""A matrix (o, i) and a bias (o,)."""
OFFSET = "hidden_state_offset"
MOST_HEADS = 16


@dataclass(frozen=True)
class Head:
    """Of head i, in float32."""

    first: Affine
    """(2d, (i + 2) · d): the by-pass R above W of the first block."""
    blocks: tuple[Affine, ...]
    """(d, d) each."""
    output: Affine | None
    """(v, d): its own output layer; None where it scores with the target's."""

    def scoring(self, vocabulary: Tokens) -> Affine | None:
        """The rows of its own output layer that score these tokens."""
        if self.output is None:
            return None
        matrix, bias = self.output
        rows = torch.from_numpy(vocabulary)
        return matrix[rows], bias[rows]


@dataclass(frozen=True)
class Prefix:
    """The decoder layer; the weight of the norm behind it is a factor of the heads' first matrices."""

    layer: LayerWeights
    rope: dict[str, Any]
    """transformers' `rope_parameters`."""


@dataclass(frozen=True)
class HydraWeights:
    """All of a folder."""

    width: int
    heads: tuple[Head, ...]
    prefix: Prefix | None


def read_weights(weights: Weights, loaded: LoadedModel) -> HydraWeights:
    """A folder's, for a target. Raises BadInput where tensors fit neither config nor target."""
    output = loaded.model.get_output_embeddings()
    width = weights.number("hidden_size", default=output.in_features)
    weights.check_sizes(loaded, width, weights.number("vocab_size", default=output.out_features))
    num_heads, num_layers = weights.number("hydra_num_heads"), weights.number("hydra_num_layers")
    if max(num_heads, num_layers) > MOST_HEADS:
        raise BadInput(
            f"{weights.folder / CONFIG_FILE} says {num_heads} heads of {num_layers} blocks; {MOST_HEADS} go."
        )
    prefix, norm = _prefix(weights, loaded, width)
    heads = tuple(_head(weights, head, num_layers, width, output.out_features) for head in range(num_heads))
    if norm is not None:
        for head in heads:
            head.first[0][:, :width] *= norm
    return HydraWeights(width, heads, prefix)


def _head(weights: Weights, head: int, num_layers: int, width: int, num_tokens: int) -> Head:
    own = f"hydra_mlp.{head}"
    parts = [_affine(weights, f"{own}.0.{part}", width, (head + 2) * width) for part in ("res_connection", "linear")]
    matrix, bias = (torch.cat(both) for both in zip(*parts, strict=True))
    names = [f"{own}.{block}.linear" for block in range(1, num_layers)]
    # Trained here, a head's later blocks are one, as the released code's are, and kept once.
    names = [name if f"{name}.weight" in weights.tensors else names[0] for name in names]
    blocks = tuple(_affine(weights, name, width, width) for name in names)
    scored = f"hydra_lm_head.{head}"
    has_output = f"{scored}.weight" in weights.tensors
    return Head((matrix, bias), blocks, _affine(weights, scored, num_tokens, width) if has_output else None)


def _affine(weights: Weights, name: str, num_rows: int, num_columns: int) -> Affine:
    matrix, bias = weights.take(f"{name}.weight", num_rows, num_columns), weights.take(f"{name}.bias", num_rows)
    return matrix.float(), bias.float()


def _prefix(weights: Weights, loaded: LoadedModel, width: int) -> tuple[Prefix | None, Tensor | None]:
    """The layer and the weight of the norm behind it; neither where the heads read the target's own states."""
    if "prefix.norm.weight" not in weights.tensors:
        return None, None
    sizes = _sizes(weights, loaded.model.config.get_text_config(), width)
    num_keys, dim, inner = sizes.num_key_value_heads, width // sizes.num_attention_heads, sizes.intermediate_size

    def take(name: str, *size: int) -> Tensor:
        return weights.take(f"prefix.{name}.weight", *size).float()

    query = take("q_proj", width, width) * dim**-0.5
    keys = [take(f"{name}_proj", num_keys * dim, width).unflatten(0, (num_keys, dim)) for name in "kv"]
    # A query head's own key and value, where heads share them: the same sums.
    repeats = sizes.num_attention_heads // num_keys
    key, value = (part.repeat_interleave(repeats, dim=0).flatten(0, 1) for part in keys)
    gate_up = torch.cat([take(f"{name}_proj", inner, width) for name in ("gate", "up")])
    layer = LayerWeights(
        num_heads=sizes.num_attention_heads,
        eps=sizes.rms_norm_eps,
        qkv=torch.cat((query, key, value)) * take("attention_norm", width),
        output=take("o_proj", width, width),
        gate_up=gate_up * take("mlp_norm", width),
        down=take("down_proj", width, inner),
    )
    return Prefix(layer, sizes.rope), take("norm", width)


@dataclass(frozen=True)
class _Sizes:
    """What the layer's tensors do not say, by the names of transformers' configs."""

    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int
    rms_norm_eps: float
    rope: dict[str, Any]


def _sizes(weights: Weights, own: Any, width: int) -> _Sizes:
    """As the weights' config says, and where it is silent the target's `own`. Raises BadInput."""

    def number(key: str, default: int) -> int:
        return weights.number(key, default=int(getattr(own, key, None) or default))

    num_heads = number("num_attention_heads", 1)
    num_keys, inner = number("num_key_value_heads", num_heads), number("intermediate_size", 4 * width)
    if width % (2 * num_heads) or num_heads % num_keys:
        raise BadInput(f"{weights.folder}: {num_heads} attention heads and {num_keys} of keys do not divide {width}.")
    eps = weights.config.get("rms_norm_eps", getattr(own, "rms_norm_eps", 1e-6))
    rope = weights.config.get("rope", getattr(own, "rope_parameters", None)) or {}
    if not isinstance(rope, dict) or not isinstance(eps, float | int):
        path = weights.folder / CONFIG_FILE
        raise BadInput(f"rope or rms_norm_eps in {path} is {rope!r:.40}, {eps!r:.20}; wanted an object and a number.")
    return _Sizes(num_heads, num_keys, inner, float(eps), dict(rope))
