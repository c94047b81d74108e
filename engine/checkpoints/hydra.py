"""Hydra's published layout: zankner/Hydra's `hydra_lm_head.pt`, of MLP heads with or without a prefix layer.

The file also holds tables that are the target's (`input_embed_fn`) or used by nobody (the prefix layer's embedding);
they are left out. Heads of Hydra++ stand in slots between dropout's, so blocks are counted in their order. The config
names a base model and no sizes: what only that model's config says, the network takes from the target that it is
loaded for. Knows names, shapes and config keys; reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from engine.checkpoints.layouts import Config, Layout, sizes
from engine.errors import BadInput

MLP, PREFIX_MLP = "mlp", "prefix-mlp"
_OWN = r"(?:hydra_head\.)?"
_LAYER = rf"{_OWN}prefix_embedd?ing_layer\.layers\.0\."
_NAMES = {
    rf"{_OWN}(hydra_mlp\.\d+\.\d+\.(?:linear|res_connection)\.(?:weight|bias))": r"\1",
    rf"{_OWN}hydra_lm_head\.(\d+)\.(?:1\.)?(weight|bias)": r"hydra_lm_head.\1.\2",
    rf"{_LAYER}self_attn\.([qkvo]_proj)\.weight": r"prefix.\1.weight",
    rf"{_LAYER}mlp\.((?:gate|up|down)_proj)\.weight": r"prefix.\1.weight",
    rf"{_LAYER}input_layernorm\.weight": "prefix.attention_norm.weight",
    rf"{_LAYER}post_attention_layernorm\.weight": "prefix.mlp_norm.weight",
    rf"{_OWN}prefix_embedd?ing_layer\.norm\.weight": "prefix.norm.weight",
}
_IGNORED = (
    rf"{_OWN}input_embed_fn\.weight|{_OWN}prefix_embedd?ing_layer\.embed_tokens\.weight|"
    rf"{_LAYER}self_attn\.rotary_emb\.inv_freq"
)
_KEPT = ("num_attention_heads", "num_key_value_heads", "rms_norm_eps")


def _counted(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Blocks of a head numbered from 0, whatever slots lie between them."""
    slots: dict[str, set[int]] = {}
    for name in tensors:
        if name.startswith("hydra_mlp."):
            slots.setdefault(name.split(".")[1], set()).add(int(name.split(".")[2]))
    found = {}
    for name, tensor in tensors.items():
        if name.startswith("hydra_mlp."):
            _, head, slot, rest = name.split(".", 3)
            name = f"hydra_mlp.{head}.{sorted(slots[head]).index(int(slot))}.{rest}"
        found[name] = tensor
    return found


def _hydra(tensors: Mapping[str, Tensor], config: Config) -> Config:
    places = [tuple(map(int, name.split(".")[1:3])) for name in tensors if name.startswith("hydra_mlp.")]
    num_heads, num_layers = (1 + max(place) for place in zip(*places, strict=True))
    width = sizes(tensors, "hydra_mlp.0.0.linear.weight")[0]
    _check_heads(tensors, num_heads, width)
    found = {
        "method": "hydra",
        "hidden_size": width,
        "hydra_num_heads": num_heads,
        "hydra_num_layers": num_layers,
        "hydra_head_arch": PREFIX_MLP if "prefix.norm.weight" in tensors else MLP,
        "grounded_heads": True,
    }
    for key, value in found.items():
        if key in config and config[key] != value:
            raise BadInput(f"The config says {key}={config[key]!r:.40}, and the tensors {value!r}.")
    offset = config.get("hidden_state_offset", 0)
    if type(offset) is not int or offset < 0:
        raise BadInput(f"The config says hidden_state_offset={offset!r:.40}; wanted a whole number from 0.")
    if "hydra_lm_head.0.weight" in tensors:
        found["vocab_size"] = sizes(tensors, "hydra_lm_head.0.weight")[0]
    if "prefix.gate_proj.weight" in tensors:
        found["intermediate_size"] = sizes(tensors, "prefix.gate_proj.weight")[0]
    return found | {"hidden_state_offset": offset} | {key: config[key] for key in _KEPT if key in config}


def _check_heads(tensors: Mapping[str, Tensor], num_heads: int, width: int) -> None:
    """Raises BadInput where a head does not read a state and the tokens drafted before its own."""
    for head in range(num_heads):
        for part in ("linear", "res_connection"):
            name, wanted = f"hydra_mlp.{head}.0.{part}.weight", (width, (head + 2) * width)
            if name not in tensors:
                raise BadInput(f"There is no {name}: such heads (grounded_heads=false) read no drafted tokens.")
            if (found := tuple(tensors[name].shape)) != wanted:
                raise BadInput(f"{name} has shape {found}; wanted {wanted}, of a state and {head + 1} embeddings.")


HYDRA_LAYOUTS = (
    Layout(
        "hydra",
        "zankner/Hydra",
        _NAMES,
        _hydra,
        needs="hydra_mlp.0.0.linear.weight",
        ignored=_IGNORED,
        arranged=_counted,
    ),
)
