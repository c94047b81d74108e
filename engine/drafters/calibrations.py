"""Which layers a target can spare, as `python -m engine calibrate self_speculation` has found it.

One file for each weights' fingerprint, in `calibrated/` of the user's cache: a model's own folder is never written to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import BadInput
from engine.user_cache import user_cache

if TYPE_CHECKING:
    from engine.facts import TargetFacts

COMMAND = "python -m engine calibrate self_speculation"


@dataclass(frozen=True)
class Calibration:
    """What was found for one model."""

    model: str
    fingerprint: str
    num_layers: int
    skip: tuple[int, ...]
    """Layers to leave out, ascending."""
    expected_speed: float
    """Of the drafts tried, by their acceptance and by what passes cost on this machine; plain decoding is 1."""
    block_efficiency: float
    is_finished: bool
    """Whether no single layer more or less was expected to be faster; False where time ended before."""

    def fits(self, facts: TargetFacts) -> bool:
        """Whether it is of these weights."""
        return (self.fingerprint, self.num_layers) == (facts.weights_fingerprint, facts.num_layers)


def kept(facts: TargetFacts) -> Calibration | None:
    """The calibration of this target; None where there is none. Raises BadInput for one that is another model's."""
    path = _path(facts.weights_fingerprint)
    if path is None or not path.is_file():
        return None
    found = _read(path)
    if found is None:
        raise BadInput(f"The calibration {path.name} of {facts.name} cannot be read; make it anew with {COMMAND}.")
    if not found.fits(facts):
        raise BadInput(
            f"The calibration {path.name} was made for {_called(found)} ({found.num_layers} layers, weights "
            f"{found.fingerprint}); {facts.name} has {facts.num_layers} layers and weights "
            f"{facts.weights_fingerprint}. Make one for it with {COMMAND}."
        )
    return found


def wanted(facts: TargetFacts) -> Calibration:
    """The calibration of this target. Raises BadInput where there is none, naming the models that have one."""
    found = kept(facts)
    if found is None:
        others = ", ".join(sorted({_called(calibration) for calibration in _all()})) or "none"
        raise BadInput(
            f"{facts.name} was not calibrated; of the models here these were: {others}. Another model's layers are "
            f"not its own: calibrate it with {COMMAND}."
        )
    return found


def keep(calibration: Calibration) -> Path:
    """Write it; the file. Raises BadInput where the cache cannot be written."""
    path = _path(calibration.fingerprint)
    if path is None:
        raise BadInput(f"{calibration.model} has no fingerprint of its weights, so no calibration can be kept for it.")
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(asdict(calibration), indent=1) + "\n", encoding="utf-8")
        return beside.replace(path)
    except OSError as error:
        raise BadInput(
            f"The calibration cannot be kept in {path.parent}: {error.strerror}; name another folder with "
            "SPECVIZ_CACHE."
        ) from error


def _called(calibration: Calibration) -> str:
    """The model's name without the folder that it may lie in: whoever reads this need not know it."""
    return calibration.model.rpartition("/")[2]


def _folder() -> Path | None:
    try:
        return user_cache() / "calibrated"
    except RuntimeError:  # a user without a home
        return None


def _path(fingerprint: str) -> Path | None:
    folder = _folder()
    return folder / f"self_speculation-{fingerprint}.json" if folder and fingerprint else None


def _all() -> Iterator[Calibration]:
    folder = _folder()
    paths = sorted(folder.glob("self_speculation-*.json")) if folder else []
    yield from (found for found in map(_read, paths) if found is not None)


def _read(path: Path) -> Calibration | None:
    """None for a file that is none of ours, or names layers that its own model does not have."""
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        found = Calibration(**{**row, "skip": tuple(row["skip"])})
        is_sound = set(found.skip) < set(range(found.num_layers)) and all(type(layer) is int for layer in found.skip)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if is_sound else None
