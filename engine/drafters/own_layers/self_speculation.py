"""Draft & Verify: the target drafts with some of its layers left out, and verifies with all (arXiv 2309.08168).

A left-out layer hands on what it is given. Draft rows stand behind the committed text as the whole model read it, and
are thrown away: verification reads all tokens anew, so that nothing of the shortened pass stays. Which layers a model
can spare is the model's own; without a list every other layer between the first and the last quarter is left out. The
paper leaves out attention and feed-forward parts by themselves, here it is whole layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from engine.drafters.growing import Growing
from engine.drafters.own_layers._chains import OwnLayers
from engine.errors import BadInput
from engine.options import option
from engine.tree import DraftTree

if TYPE_CHECKING:
    from engine.target import Target

AUTO = "auto"


@dataclass(frozen=True)
class SelfSpeculationOptions:
    """What to leave out, how far to draft."""

    skip: str = option(
        AUTO, "Layers to leave out, from 0, parted by commas; auto every other in the middle.", kind="text"
    )
    depth: int = option(6, "Most tokens in a row to draft.", low=1, high=32, unit="tokens")
    min_confidence: float = option(
        0.6, "Stop drafting after a token below this probability; 0 never.", low=0.0, high=1.0
    )


class SelfSpeculation(OwnLayers):
    """The target without some of its layers."""

    name = "self_speculation"
    title = "Draft & Verify"
    summary = "The target drafts with some of its layers left out, and verifies with all of them."
    source = "arXiv 2309.08168"
    Options = SelfSpeculationOptions
    options: SelfSpeculationOptions

    def __init__(self, options: SelfSpeculationOptions, target: Target) -> None:
        super().__init__(options, target)
        self.skip = layers_of(options.skip, self.runner.num_layers, target.facts.name)

    def _read(self, token: int, node: int) -> Tensor:
        return self.runner.extend([token], [node], skip=self.skip).logits.float()

    def _left(self, growing: Growing) -> DraftTree:
        self.runner.commit(())
        return growing.tree()


def layers_of(given: str, num_layers: int, model: str) -> frozenset[int]:
    """Of a list of layers. Raises BadInput."""
    if given == AUTO:
        return frozenset(range(num_layers // 4 + 1, num_layers - num_layers // 4, 2))
    try:
        found = frozenset(int(part) for part in given.split(",") if part.strip())
    except ValueError:
        found = frozenset({-1})
    if not found <= set(range(num_layers)) or len(found) >= num_layers:
        raise BadInput(
            f"Option skip is {given!r}; wanted {AUTO}, or some of the layers 0 to {num_layers - 1} of {model}, parted "
            "by commas, but not all of them."
        )
    return found


DRAFTER = SelfSpeculation
