"""Published layouts of heads on DFlash's block: DSpark's and DFlash 2's.

DSpark's tensors have one spelling, an older one below `logit_head.`; its config has several: DeepSpec's keys at top
level, SpecForge's in `dflash_config`, vLLM's beside `transformer_layer_config`. Its root foresees a token, unless the
config says otherwise, DFlash 2's never. Sizes come from tensors, and a config that says others is refused. Knows
names, shapes and config keys; reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from engine.checkpoints.dflash import BACKBONE_NAMES, backbone, told_of
from engine.checkpoints.layouts import Config, Layout, sizes
from engine.errors import BadInput

_HEAD = r"(?:model\.)?(?:logit_head\.)?"
_DSPARK_NAMES = {
    rf"{_HEAD}(markov_head\.markov_w[12]\.weight)": r"\1",
    rf"{_HEAD}(markov_head\.(?:gate|joint)_proj\.(?:weight|bias))": r"\1",
    rf"{_HEAD}(confidence_head\.proj\.(?:weight|bias))": r"\1",
}
_DFLASH2_NAMES = {
    r"(?:model\.)?(layers\.\d+\.(?:attention|mlp)_conv\.(?:base_kernel|kernel_projection\.weight))": r"\1",
    r"(?:model\.)?(candidate_selector\.(?:predecessor_codebook|successor_codebook|hidden_projection\.weight))": r"\1",
}


def _dspark(tensors: Mapping[str, Tensor], config: Config) -> Config:
    found, told = backbone(tensors, config, "dspark", is_anchor_asked=True), told_of(config)
    has_markov = "markov_head.markov_w1.weight" in tensors
    rank = sizes(tensors, "markov_head.markov_w1.weight")[1] if has_markov else 0
    _check(told, {"markov_rank": rank})
    if told.get("enable_confidence_head") and "confidence_head.proj.weight" not in tensors:
        raise BadInput("The config says enable_confidence_head=True, and there is no confidence_head.proj.weight.")
    found |= {"markov_rank": rank, "markov_head_type": told.get("markov_head_type") or "vanilla"}
    if "confidence_head.proj.weight" in tensors:
        width = sizes(tensors, "confidence_head.proj.weight")[1]
        reads_token = width == found["hidden_size"] + rank and rank > 0
        if not reads_token and width != found["hidden_size"]:
            wanted = f"{found['hidden_size']}, and {rank} more where it reads the token before"
            raise BadInput(f"confidence_head.proj.weight has {width} columns; wanted {wanted}.")
        _check(told, {"confidence_head_with_markov": reads_token})
        found["confidence_head_with_markov"] = reads_token
    return found


def _dflash2(tensors: Mapping[str, Tensor], config: Config) -> Config:
    found, told = backbone(tensors, config, "dflash2", is_anchor_asked=False), told_of(config)
    if found["sample_from_anchor"]:
        raise BadInput("The config says sample_from_anchor=True; DFlash 2's root foresees no token.")
    if "d2t" in tensors:
        raise BadInput("There is a d2t; DFlash 2's selector is of the target's whole vocabulary.")
    rank = sizes(tensors, "candidate_selector.predecessor_codebook")[1]
    _check(told, {"selector_rank": rank})
    kernel = tensors.get("layers.0.attention_conv.base_kernel")
    if kernel is None or kernel.dim() != 3:
        raise BadInput("There is no layers.0.attention_conv.base_kernel of three dimensions.")
    taps = kernel.shape[1]
    rows = sizes(tensors, "layers.0.attention_conv.kernel_projection.weight")[0]
    group, rest = divmod(2 * taps * found["hidden_size"], rows)
    if rest:
        raise BadInput(f"layers.0.attention_conv.kernel_projection.weight has {rows} rows, for {taps} taps.")
    _check(told, {"conv_kernel_size": taps, "conv_group_size": group})
    top_k = told.get("selector_top_k")
    if type(top_k) is not int or top_k < 1:
        raise BadInput(f"The config says selector_top_k={top_k!r:.40}; wanted how many candidates a place has.")
    own = {"selector_rank": rank, "selector_top_k": top_k, "conv_kernel_size": taps, "conv_group_size": group}
    return found | own


def _check(told: Config, found: Config) -> None:
    """Raises BadInput where the config says another size than the tensors have."""
    for key, value in found.items():
        if told.get(key, value) != value:
            raise BadInput(f"The config says {key}={told[key]!r:.40}, and the tensors {value}.")


DFLASH_HEAD_LAYOUTS = (
    Layout(
        "dspark",
        "DSpark: DeepSpec, SpecForge, vLLM speculators",
        BACKBONE_NAMES | _DSPARK_NAMES,
        _dspark,
        needs="hidden_norm.weight",
    ),
    Layout(
        "dflash2",
        "DFlash 2: z-lab, vLLM speculators",
        BACKBONE_NAMES | _DFLASH2_NAMES,
        _dflash2,
        needs="candidate_selector.predecessor_codebook",
    ),
)
