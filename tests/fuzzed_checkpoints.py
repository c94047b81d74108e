"""Hostile checkpoints: published drafters whose config and tensors were changed, models whose config was.

Nothing is written but configs: what is published is tried in memory, with the shapes of toys.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from engine import models
from engine.checkpoints.converting import _recognised
from engine.drafters.heads import dflash, eagle
from engine.drafters.heads._weights import Weights
from engine.models.needs import needs_of
from tests.engine.checkpoints import dflash_layouts, eagle_layouts, hydra_layouts, test_converting

Spoil = Callable[[Any, random.Random], Any]
FORMS = {"eagle": eagle.form.read_form, "dflash": dflash.form.read_form}
NUM_LAYERS = 8


def published() -> list[tuple[dict[str, torch.Tensor], dict[str, Any]]]:
    """Tensors and config of every layout that is known."""
    made = [make() for layouts in (eagle_layouts, dflash_layouts, hydra_layouts) for make in layouts.PUBLISHED.values()]
    found = [(one.tensors, one.config) for one in made]
    return found + [(tensors, config) for _, tensors, _, _, config in test_converting.PUBLISHED.values()]


class Checkpoints:
    """Readers of what others trained; `changed` spoils a JSON value."""

    def __init__(self, folder: Path, changed: Spoil) -> None:
        self.folder, self.changed, self.published = folder, changed, published()
        self.model = folder / "model"
        self.model.mkdir()
        self.right = json.loads((Path(models.locate(models.STORY)) / "config.json").read_text())

    def convert(self, chance: random.Random) -> None:
        """Recognised, its sizes read, and its form as a method reads it at the start."""
        tensors, config = chance.choice(self.published)
        tensors = self._resized(tensors, chance) if chance.random() < 0.5 else tensors
        layout, renamed = _recognised(tensors, self.folder)
        given = self.changed(config, chance)
        told = layout.config(renamed, given if isinstance(given, dict) else {})
        json.dumps(told)
        if read := FORMS.get(layout.method):
            told = self.changed(told, chance) if chance.random() < 0.7 else told
            read(Weights(layout.method, self.folder, told if isinstance(told, dict) else {}, renamed), NUM_LAYERS)

    def weigh(self, chance: random.Random) -> None:
        """What a model needs, from its config."""
        given = self.changed(self.right, chance)
        (self.model / "config.json").write_text(json.dumps(given), encoding="utf-8", errors="surrogatepass")
        assert needs_of(str(self.model)).text

    def _resized(self, tensors: dict[str, torch.Tensor], chance: random.Random) -> dict[str, torch.Tensor]:
        """One of them is missing, or has other dimensions."""
        name = chance.choice(list(tensors))
        rest = {key: tensor for key, tensor in tensors.items() if key != name}
        if chance.random() < 0.3:
            return rest
        return {**rest, name: torch.zeros([chance.choice((0, 1, 3, 64)) for _ in range(chance.randrange(4))])}
