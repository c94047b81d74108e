"""Training of Hidden Transfer (arXiv 2404.12022): layers from `layer_sweep`, then maps, then corrections.

When the maps are done, corrections are trained on top of them, towards the same and with the maps frozen. The modules
are `transfer`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from safetensors.torch import load_file

from engine.drafters.heads._weights import CONFIG_FILE, WEIGHTS_FILE
from engine.training import layer_sweep
from engine.training.head_training import train_heads
from engine.training.layered import Layered
from engine.training.material import Material
from engine.training.recipes import RECIPES, Recipe
from engine.training.runs import Order
from engine.training.transfer import Transfer

NUM_STEPS = 3
CORRECTED_SHARE = 0.4
"""Of the time limit, for corrections."""
SWEEP_SHARE = 0.3
"""Of the maps' time, for the choice of layers."""
MAPS = "maps"


def make(material: Material, recipe: Recipe) -> Transfer:
    """Untrained maps and corrections for a target."""
    return Transfer(None, (1,) * NUM_STEPS, material.hidden_size).corrected(material.input_table)


def make_swept(material: Material, recipe: Recipe) -> Transfer:
    """Maps at the layers that the sweep finds best, as far trained as the ablation brought them."""
    recipe = replace(recipe, limit_minutes=recipe.limit_minutes * SWEEP_SHARE / (1 - SWEEP_SHARE))
    return layer_sweep.run(Layered(material.target, material.output_table), material, recipe, NUM_STEPS)


def make_corrected(material: Material, recipe: Recipe, folder: Path) -> Transfer:
    """The trained maps of a folder, with corrections that are not."""
    weights = load_file(folder / WEIGHTS_FILE)
    layers = tuple(json.loads((folder / CONFIG_FILE).read_text())["layers"])
    transfer = Transfer(Layered(material.target, material.output_table), layers, material.hidden_size)
    transfer.maps.load_state_dict({name.removeprefix("transfer."): part for name, part in weights.items()})
    return transfer.corrected(material.input_table)


def train(order: Order) -> None:
    """`train hidden_transfer`: sweep and maps, in a folder of their own below, then corrections; a limit covers all.

    Maps that are done are kept, so that a stopped run goes on where it was.
    """
    limit = order.limit_minutes or RECIPES["hidden_transfer", order.preset].limit_minutes
    maps = replace(order, out=order.folder / MAPS, written=order.material)
    if not (maps.folder / layer_sweep.FILE).is_file():
        minutes = limit * (1 - CORRECTED_SHARE) * (1 - SWEEP_SHARE)
        _train(replace(maps, limit_minutes=minutes), "hidden_transfer", make_swept)
    if (maps.folder / layer_sweep.FILE).is_file():
        make = partial(make_corrected, folder=maps.folder)
        corrections = replace(order, begin=None, limit_minutes=limit * CORRECTED_SHARE)
        _train(corrections, "transfer_corrections", make)


def _train(order: Order, recipe_name: str, make: Callable[[Material, Recipe], Transfer]) -> None:
    """One of both; when it came to its end the sweep's figures lie beside the weights."""
    made: list[tuple[Transfer, Material]] = []

    def make_and_keep(material: Material, recipe: Recipe) -> Transfer:
        made.append((make(material, recipe), material))
        return made[0][0]

    if train_heads(order, recipe_name, make_and_keep):
        layer_sweep.write(*made[0], order.folder)
