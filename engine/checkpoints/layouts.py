"""Layouts that drafters are published in: what their tensors are called, and what this project calls them.

A layout serves a checkpoint if it knows every tensor of it. Sources: FasterDecoding/Medusa (`medusa_lm_head.pt`), vLLM
(`blocks.*`, `lm_heads.*`), IBM's accelerators of foundation-model-stack (`emb`, `proj`, `head`, `ln`). Knows names and
shapes; reads no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from engine.errors import BadInput

Config = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """One way of naming a method's tensors."""

    method: str
    origin: str
    names: Mapping[str, str]
    """Patterns of whole names, and what a match is renamed to."""
    config: Callable[[Mapping[str, Tensor], Config], Config]
    """From renamed tensors and published config to the method's config. Raises BadInput."""
    needs: str = ""
    """A tensor, by its new name, without which a checkpoint is another's."""
    ignored: str = ""
    """Whole names of what is in a file and is not the drafter's to keep."""
    arranged: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    """From tensors by new names to those of this project, where patterns do not do: numbers that are to be counted."""

    def renamed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """All tensors by their new names; None where one of them is not this layout's."""
        found: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            if self.ignored and re.fullmatch(self.ignored, name):
                continue
            new = self._new(name)
            if new is None or new in found:
                return None
            found[new] = tensor
        found = self.arranged(found)
        return found if not self.needs or self.needs in found else None

    def _new(self, name: str) -> str | None:
        for pattern, new in self.names.items():
            if match := re.fullmatch(pattern, name):
                return match.expand(new)
        return None


def _medusa(tensors: Mapping[str, Tensor], _: Config) -> Config:
    places = [tuple(map(int, name.split(".")[:2])) for name in tensors if ".linear." in name]
    if not places:
        raise BadInput("There is no residual block of a Medusa head, as 0.0.linear.weight would be.")
    # The released configs say 2 heads where the files hold 5.
    num_heads, num_layers = (1 + max(place) for place in zip(*places, strict=True))
    return {"medusa_num_heads": num_heads, "medusa_num_layers": num_layers}


def _accelerator(tensors: Mapping[str, Tensor], config: Config) -> Config:
    vocab_size, inner = sizes(tensors, "speculator.emb.0.weight")
    from_inner, width = sizes(tensors, "speculator.proj.0.weight")
    if from_inner != inner:
        raise BadInput(f"proj.0.weight has {from_inner} rows; wanted {inner}, as emb.0.weight is wide.")
    stages = 1 + max(int(name.split(".")[2]) for name in tensors)
    found = {"n_predict": stages, "emb_dim": width, "inner_dim": inner, "vocab_size": vocab_size}
    for key, value in found.items():
        if config.get(key, value) not in (value, 0):
            raise BadInput(f"The config says {key}={config[key]!r:.40}, and the tensors {value}.")
    kept = ("top_k_tokens_per_head", "n_candidates", "tie_weights", "scale_input")
    return found | {key: config[key] for key in kept if key in config}


def _numbered(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A head's output layer stands behind its blocks, under the next number."""
    num_blocks = 1 + max((int(name.split(".")[1]) for name in tensors if ".linear." in name), default=-1)
    return {name.replace(".out.", f".{num_blocks}."): tensor for name, tensor in tensors.items()}


def sizes(tensors: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    """Of a matrix. Raises BadInput where there is none of this name."""
    if name not in tensors or tensors[name].dim() != 2:
        raise BadInput(f"There is no matrix {name}.")
    rows, columns = tensors[name].shape
    return rows, columns


LAYOUTS = (
    Layout(
        "medusa",
        "FasterDecoding/Medusa",
        {r"(?:medusa_head\.)?(\d+)\.(\d+)\.((?:linear\.)?(?:weight|bias))": r"\1.\2.\3"},
        _medusa,
    ),
    Layout(
        "medusa",
        "vLLM",
        {
            r"blocks\.(\d+)\.layers\.(\d+)\.(weight|bias)": r"\1.\2.linear.\3",
            r"lm_heads\.(\d+)\.weight": r"\1.out.weight",
        },
        _medusa,
        arranged=_numbered,
    ),
    Layout(
        "mlp_speculator",
        "IBM accelerators",
        {r"(?:speculator\.)?(emb|proj|head|ln)\.(\d+)\.(weight|bias)": r"speculator.\1.\2.\3"},
        _accelerator,
    ),
)
FOREIGN = {
    "EAGLE-4": r"(?:model\.)?efficient_lm_head.*",
    "P-EAGLE": r"mask_hidden",
    "Hydra of another kind (cross-attention, EAGLE-style)": r"(?:hydra_head\.|hydra_mlp\.|hydra_lm_head\.).*",
    "Domino": r"(?:prefix_gru|embed_proj)\..*",
    "MTP, a layer of the target's own for the next tokens": r"(?:mtp|mtp_layers\.\d+)\..*",
    "a block drafter": r"hidden_norm\.weight",
    "a whole model": r"(?:model\.)?layers\.\d+\.self_attn\..*",
}
"""What other checkpoints are told by, to be named when they are refused."""


def foreign(names: Iterable[str]) -> tuple[str, str] | None:
    """Whose tensors these are and the name that tells, where it is known and there is no method for it here."""
    names = list(names)
    told = ((whose, name) for whose, pattern in FOREIGN.items() for name in names if re.fullmatch(pattern, name))
    return next(told, None)
