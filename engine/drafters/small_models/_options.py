"""Options that small models share, each told once: which model, where it runs, a chain's length, a tree's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.drafters.budget import budget_option
from engine.drafters.growing import confidence_option, depth_option
from engine.options import option

GPUS = ("cuda:0", "cuda:1")


def context_option(help: str) -> Any:
    """The option `max_context`."""
    return option(0, help, low=0, high=262_144, unit="tokens", comes_last=True)


@dataclass(frozen=True)
class ModelOptions:
    """Which draft model, and where; what a member adds stands between."""

    model: str = option("auto", "Draft model: preset's own (auto), folder or hub id.", kind="model", words=("auto",))
    device: str = option(
        "target",
        "Where the draft model runs: the target's device, or another.",
        choices=("target", "cpu", *GPUS),
        comes_last=True,
    )
    dtype: str = option(
        "target", "Its dtype: the target's, or another.", choices=("target", "bf16", "fp16", "fp32"), comes_last=True
    )
    max_context: int = context_option("Most tokens of text that it drafts in; 0 as many as it can.")


@dataclass(frozen=True)
class ChainOptions(ModelOptions):
    """How far to draft in a row."""

    depth: int = depth_option(4)
    min_confidence: float = confidence_option(0.3)


@dataclass(frozen=True)
class TreeOptions(ChainOptions):
    """A chain, or a tree, and how much of it."""

    width: int = option(1, "Nodes to expand per level; 1 drafts a chain.", low=1, high=16, unit="nodes")
    nodes: int = option(16, "Most nodes of a tree (width above 1).", low=1, high=64, unit="nodes")
    budget: str = budget_option()
