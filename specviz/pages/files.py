"""What lies in assets/: scripts, styles, the logo, the menus of examples."""

from __future__ import annotations

import functools
import json
from typing import Any

from specviz import ASSETS
from specviz.explaining import glossary
from specviz.explaining.examples import examples
from specviz.text import to_wire

TEMPLATE = '<div class="sv-root"></div>'
"""Of every component that a script draws. Static: Gradio compiles what stands in `${}` or `{{}}`."""


def script(*names: str) -> str:
    """These scripts as one, each once, to be run when a component loads.

    "palette" is the colours, as `PALETTE`; "glossary" the definitions by term, as `GLOSSARY`.
    """
    return "\n".join(_script(name) for name in dict.fromkeys(names))


def on_load(*names: str, **constants: Any) -> str:
    """These scripts, to draw inside TEMPLATE, after constants that they know.

    A component's further props are not there yet where its tab is opened by a press: what a script needs at once
    comes as a constant.
    """
    known = "".join(f"const {name} = {to_wire({'value': value})}.value;\n" for name, value in constants.items())
    return f"element = element.querySelector('.sv-root') || element;\n{known}{script(*names)}"


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


def _script(name: str) -> str:
    if name == "palette":
        return f"const PALETTE = {json.dumps(palette(), ensure_ascii=True)};"
    if name == "glossary":
        return f"const GLOSSARY = {to_wire({term.slug: term.definition for term in glossary.terms().values()})};"
    return (ASSETS / "js" / f"{name}.js").read_text(encoding="utf-8")
