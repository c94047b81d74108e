"""Runs the engine as a GPU machine has it, where numba and the dashboard's packages are not: prints what came of it.

Started by tests/engine/runtime/test_compiled.py in a process of its own.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

MISSING = {"numba", "llvmlite", "specviz", "app", "gradio", "fastapi", "starlette", "plotly", "markdown_it"}
MISSING |= {"sqlalchemy", "alembic", "pyarrow"}
LEFT_OUT = ("__main__", "kernel", "compiled", "_compiled", "_decoder_compiled")
METHODS: dict[str, dict[str, int]] = {
    "plain": {},
    "draft_model": {"width": 2},
    "aded": {"nodes": 8},
    "medusa": {"budget": 6},
    "mlp_speculator": {"budget": 6},
    "chimera": {"budget": 6},
    "eagle": {"budget": 6},
    "dflash": {"budget": 6},
    "dflash2": {"budget": 6},
    "dspark": {"budget": 6},
    "hydra": {"budget": 6},
    "hidden_transfer": {"budget": 6},
}


class Blocked(MetaPathFinder):
    """An import finder to which these packages are not installed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def modules() -> list[str]:
    """All of the engine but its entry and what is compiled for a CPU."""
    import engine

    found = [module.name for module in pkgutil.walk_packages(engine.__path__, "engine.", onerror=print)]
    return [name for name in found if not name.startswith("engine.runtime.cpu") and name.split(".")[-1] not in LEFT_OUT]


def decoded(num_tokens: int = 12) -> dict[str, Any]:
    """The story target's text by several methods, on a CPU."""
    from toys import output_ids, steps_of

    from engine import drafters, models
    from engine.config import GenerationConfig
    from engine.loop import generate
    from engine.target import Target

    target = Target(models.load("story", dtype="float32", device="cpu"))
    texts, proposed = {}, {}
    for method, options in METHODS.items():
        drafter, config = drafters.create(method, options, target), GenerationConfig(max_new_tokens=num_tokens)
        events = list(generate(target, drafter, "Tell a story about a fox.", config))
        texts[method] = output_ids(events)
        proposed[method] = sum(len(step.nodes) for step in steps_of(events))
    return {"caveat": target.caveat, "texts": texts, "proposed": proposed}


def searched() -> list[Any]:
    """What ADED's search and a step's likeliest tree make of known numbers."""
    import numpy as np

    from engine.drafters.heads import _trees
    from engine.drafters.tables.aded import search
    from engine.drafters.trigrams import Overlay, build_table

    ids = np.random.default_rng(0).integers(0, 6, 400)
    overlay = Overlay(build_table([ids.tolist()]))
    overlay.adapt(ids[:50], 0.04, 3.0)
    trees = [search.draft(a, b, 40, 3, 12, 16, 32.0, 8.0, a + b, overlay.arrays) for a in range(4) for b in range(4)]
    grown = _trees.grow(np.array([[0.5, 0.3, 0.1], [0.6, 0.2, 0.1]]), 6)
    return [[part.tolist() for part in found] for found in (*trees, grown)]


if __name__ == "__main__":
    sys.meta_path.insert(0, Blocked())
    for name in modules():
        importlib.import_module(name)
    print(json.dumps({"searched": searched(), **decoded(), "loaded": sorted(MISSING & set(sys.modules))}))
