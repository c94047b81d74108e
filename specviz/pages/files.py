"""What lies in assets/ beside the scripts: styles, colours, the logo, the menus of examples."""

from __future__ import annotations

import functools
import json
from typing import Any

from specviz import ASSETS
from specviz.explaining.examples import examples

TEMPLATE = '<div class="sv-root"></div>'
"""Of every component that a script draws. Static: Gradio compiles what stands in `${}` or `{{}}`."""


@functools.cache
def palette() -> dict[str, Any]:
    """Colours of `states`, `phases`, `page`, `plain` and `methods`, as `#rrggbb` for light and dark.

    Hue never stands alone: a state has a shape and a glyph, a method a dash and a marker.
    """
    read: dict[str, Any] = json.loads((ASSETS / "palette.json").read_text(encoding="utf-8"))
    return read


def styles() -> str:
    """The page's style sheet."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ASSETS / "css").glob("*.css")))


def logo() -> str:
    """The logo as SVG text."""
    return (ASSETS / "logo.svg").read_text(encoding="utf-8")


def example_menus() -> str:
    """By kind of model, tasks with their examples' titles, as JSON text for the page."""
    menus: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for example in examples():
        tasks = menus.setdefault(example.kind, {})
        tasks.setdefault(example.task, []).append({"id": example.id, "title": example.title})
    named = {kind: [{"task": task, "examples": rows} for task, rows in tasks.items()] for kind, tasks in menus.items()}
    return json.dumps(named)
