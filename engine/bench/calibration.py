"""Which layers a target can spare when it drafts for itself: searched.

What is maximised is the speed to be expected (bench/theory.py): emitted tokens ÷ the cost of all passes and drafts,
plain decoding being 1. Acceptance is counted on real greedy runs, so that a set always gets the same number; what
passes and draft tokens cost is measured once, not set by set, for a timed search would follow the machine's noise. A
draft token's cost falls with each layer left out by the same.

The search climbs: each layer in turn is left out, or taken back, and the set is kept if it is expected to be faster;
it ends when no layer changes it. That tries some times as many sets as there are layers, where the paper's Bayesian
search (arXiv 2309.08168) tries a thousand; it may end on a set that only several changes at once would better. Text
does not hang on what is found: verification reads with all layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters import Costs, calibrations
from engine.drafters.calibrations import Calibration
from engine.drafters.own_layers.self_speculation import AUTO, calibration_of, layers_of
from engine.errors import BadInput
from engine.events import SessionFinished, Stepped
from engine.loop import generate

if TYPE_CHECKING:
    from pathlib import Path

    from engine.target import Target

METHOD = "self_speculation"
_TIMED_DEPTH = 4
"""Of the drafts that are timed."""
Layers = frozenset[int]


@dataclass(frozen=True)
class Trial:
    """A set of layers left out, on all prompts."""

    skip: Layers
    expected_speed: float
    block_efficiency: float

    @property
    def text(self) -> str:
        """In words."""
        layers = ",".join(map(str, sorted(self.skip))) or "none"
        return f"without {layers}: {self.expected_speed:.3f}x expected, {self.block_efficiency:.2f} tokens a pass"


@dataclass(frozen=True)
class Prices:
    """In passes of one row: of a pass by its rows, and of a draft token with all layers and for each one left out."""

    rows: tuple[float, ...]
    whole: float
    each: float

    def of(self, skip: Layers) -> float:
        """A draft token without these layers."""
        return max(0.0, self.whole - self.each * len(skip))


def calibrate(
    target: Target,
    prompts: Sequence[Sequence[int]],
    num_tokens: int,
    should_stop: Callable[[], bool],
    tell: Callable[[str], None],
) -> tuple[Calibration, Path]:
    """Search from what was found before, and keep each better set as it is found; the last one, and its file.

    `tell` is given a line for each set. Raises BadInput for a model that cannot leave layers out.
    """
    facts = target.facts
    if facts.num_layers < 2:
        raise BadInput(f"{facts.name} has one layer, and none to spare.")
    known = calibration_of(AUTO, facts)
    start = frozenset(known.skip) if known else layers_of(AUTO, facts)
    prices = prices_of(target)

    def trial_of(skip: Layers) -> Trial:
        return tried(target, prompts, num_tokens, prices, skip)

    kept: Trial | None = None
    for number, (trial, best, is_finished) in enumerate(climbed(trial_of, start, facts.num_layers, should_stop), 1):
        tell(f"Set {number}: {trial.text}; best so far {best.text}")
        if best is not kept or is_finished:
            kept = best
            found = Calibration(
                facts.name,
                facts.weights_fingerprint,
                facts.num_layers,
                tuple(sorted(best.skip)),
                best.expected_speed,
                best.block_efficiency,
                is_finished,
            )
            path = calibrations.keep(found)
    return found, path


def prices_of(target: Target) -> Prices:
    """Measured with drafts of no layer and of half the layers left out; a second or two for each."""
    costs, num_layers = drafters.costs_of(target), target.facts.num_layers
    half = frozenset(range(0, num_layers, 2)) if num_layers > 1 else frozenset()
    whole, halved = (_draft_token(target, costs, skip) for skip in (frozenset(), half))
    return Prices(costs.rows, whole, max(0.0, whole - halved) / max(1, len(half)))


def _draft_token(target: Target, costs: Costs, skip: Layers) -> float:
    drafter = _drafter(target, skip, depth=_TIMED_DEPTH, min_confidence=0.0)
    return costs.draft(drafter, drafter) / _TIMED_DEPTH


def _drafter(target: Target, skip: Layers, **more: object) -> drafters.Drafter:
    return drafters.create(METHOD, {"skip": ",".join(map(str, sorted(skip))), **more}, target)


def tried(target: Target, prompts: Sequence[Sequence[int]], num_tokens: int, prices: Prices, skip: Layers) -> Trial:
    """What leaving these layers out brings on these prompts. Raises BadInput where the model cannot be run so."""
    emitted = passes = 0
    cost = 0.0
    for prompt in prompts:
        config = GenerationConfig(max_new_tokens=num_tokens, has_detail=False)
        for event in generate(target, _drafter(target, skip), prompt, config):
            if isinstance(event, Stepped):
                emitted, passes = emitted + len(event.emitted), passes + 1
                cost += prices.rows[len(event.nodes)] + len(event.nodes) * prices.of(skip)
            elif isinstance(event, SessionFinished) and event.reason == "failed":
                raise BadInput(f"{target.facts.name} cannot draft with some of its layers: {event.message}")
    return Trial(skip, emitted / cost if cost else 0.0, emitted / passes if passes else 0.0)


def climbed(
    trial_of: Callable[[Layers], Trial], start: Layers, num_layers: int, should_stop: Callable[[], bool]
) -> Iterator[tuple[Trial, Trial, bool]]:
    """Each set as it is tried: the trial, the best so far, and whether no change of one layer can better that one."""
    best = trial_of(start)
    yield best, best, False
    unchanged, layer = 0, num_layers - 1
    while unchanged < num_layers and not should_stop():
        skip = best.skip ^ {layer}
        layer = (layer - 1) % num_layers
        unchanged += 1
        if len(skip) == num_layers:
            continue
        trial = trial_of(skip)
        if trial.expected_speed > best.expected_speed:
            best, unchanged = trial, 1  # taking this very layer back was tried
        yield trial, best, unchanged >= num_layers
