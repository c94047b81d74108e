"""Draft & Verify: the target drafts with some of its layers left out, and verifies with all (arXiv 2309.08168).

A left-out layer hands on what it is given. Draft rows stand behind the committed text as the whole model read it, and
are thrown away: verification reads all tokens anew, so that nothing of the shortened pass stays. Which layers a model
can spare is the model's own: `python -m engine calibrate self_speculation` searches for them, and what it found for
these weights is taken; where nothing was searched every other layer between the first and the last quarter is left
out. The paper leaves out attention and feed-forward parts by themselves, here it is whole layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from engine.drafters import calibrations
from engine.drafters.growing import Growing, confidence_option, depth_option
from engine.drafters.own_layers._chains import OwnLayers
from engine.errors import BadInput
from engine.options import option
from engine.tree import DraftTree

if TYPE_CHECKING:
    from engine.facts import TargetFacts
    from engine.target import Target

AUTO = "auto"
CALIBRATED = "calibrated"
MIDDLE = "middle"


@dataclass(frozen=True)
class SelfSpeculationOptions:
    """What to leave out, how far to draft."""

    skip: str = option(
        AUTO,
        "Layers to leave out, from 0, parted by commas; calibrated what was found for this model; middle every other "
        "in the middle; auto calibrated, else middle.",
        kind="text",
    )
    depth: int = depth_option(6)
    min_confidence: float = confidence_option(0.6)


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
        found = calibration_of(options.skip, target.facts)
        self._is_calibrated = found is not None
        self.skip = frozenset(found.skip) if found else layers_of(options.skip, target.facts)

    @property
    def settings(self) -> dict[str, Any]:
        """With the layers themselves where they came from a calibration: another may be made."""
        named = {"skip": ",".join(map(str, sorted(self.skip)))} if self._is_calibrated else {}
        return super().settings | named

    def _read(self, token: int, node: int) -> Tensor:
        return self.runner.extend([token], [node], skip=self.skip).logits.float()

    def _left(self, growing: Growing) -> DraftTree:
        self.runner.commit(())
        return growing.tree()


def calibration_of(given: str, facts: TargetFacts) -> calibrations.Calibration | None:
    """What was found for this target, where that is asked for. Raises BadInput."""
    if given == CALIBRATED:
        return calibrations.wanted(facts)
    return calibrations.kept(facts) if given == AUTO else None


def layers_of(given: str, facts: TargetFacts) -> frozenset[int]:
    """Of a list of layers, or those in the middle. Raises BadInput."""
    num_layers = facts.num_layers
    if given in (AUTO, MIDDLE):
        return frozenset(range(num_layers // 4 + 1, num_layers - num_layers // 4, 2))
    try:
        found = frozenset(int(part) for part in given.split(",") if part.strip())
    except ValueError:
        found = frozenset({-1})
    if not found <= set(range(num_layers)) or len(found) >= num_layers:
        raise BadInput(
            f"Option skip is {given!r}; wanted {AUTO}, {CALIBRATED}, {MIDDLE}, or some of the layers 0 to "
            f"{num_layers - 1} of {facts.name}, parted by commas, but not all of them."
        )
    return found


DRAFTER = SelfSpeculation
