"""The page's scripts: ES modules of assets/js, sent once for all components, or joined for a page without a server.

A module that draws a component exports one function by default, `mountNAME(component)`: `component` has Gradio's
`element`, `props`, `server`, `watch` and `trigger`, and the constants that the server gave it. An import is one line,
`import { make } from './dom.js';`. Beside the files there are "palette" with the colours as `PALETTE`, "glossary" with
the definitions by term as `GLOSSARY`, and "plotly" with the chart library's address as `PLOTLY`.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from specviz import ASSETS
from specviz.explaining import glossary
from specviz.pages.files import palette
from specviz.routes import KEPT, PLOTLY_PATH
from specviz.text import to_wire

_IMPORT = re.compile(r"^import .*? from '\./(\w+)\.js';\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?:default )?", re.MULTILINE)
_MOUNT = re.compile(r"^export default function (\w+)\(", re.MULTILINE)
_EVENT = re.compile(r"\btrigger\('(\w+)'")
_UNSERVED = ("page", "offline")
"""Run as texts: by Gradio when the page has loaded, by an exported file."""


def on_load(name: str, **constants: Any) -> str:
    """What makes a component draw itself with this module, which knows these constants.

    A component's further props are not there yet where its tab is opened by a press: what a script needs at once
    comes as a constant. Gradio listens to the events that stand in quotes here.
    """
    events = " ".join(f"'{event}'" for event in sorted(set(_EVENT.findall(text(name)))))
    return (
        f"const known = {to_wire(constants)}; // tells {events}\n"
        "const root = element.querySelector('.sv-root') || element;\n"
        "const component = { ...known, element: root, props, server, watch, trigger };\n"
        f"{_imported(name)}.then((script) => script.default(component));"
    )


def calling(name: str, function: str, *given: Any) -> str:
    """A JavaScript function that calls one of a module with plain values, for an event of the page."""
    values = ", ".join(to_wire({"value": value}) + ".value" for value in given)
    return (
        f"() => import(new URL('{address(name)}', document.baseURI).href).then((script) => script.{function}({values}))"
    )


def preloads() -> str:
    """Tags by which a browser fetches all modules at once, before any of them asks for the next."""
    return "\n".join(f'<link rel="modulepreload" href="{address(name)}">' for name in served())


def address(name: str) -> str:
    """Where a module is, relative to the page. What all of them say stands in it: a browser may keep them."""
    return f"{_folder()}/{name}.js"


def routes() -> list[BaseRoute]:
    """For the server to be made with."""
    return [Route(f"/{_folder()}/{{name}}.js", _answer)]


@functools.cache
def served() -> tuple[str, ...]:
    """The names of all modules that a page may ask for."""
    written = (path.stem for path in (ASSETS / "js").glob("*.js"))
    return tuple(sorted({*written, *_MADE} - set(_UNSERVED)))


@functools.cache
def text(name: str) -> str:
    """A module as it is sent."""
    if name in _MADE:
        return _MADE[name]()
    return (ASSETS / "js" / f"{name}.js").read_text(encoding="utf-8")


def joined(*names: str) -> str:
    """These modules and all that they import as one text, whose names stand in one scope."""
    return "".join(_EXPORT.sub("", _IMPORT.sub("", text(name))) for name in with_imports(*names))


def with_imports(*names: str) -> list[str]:
    """These modules and all that they import, each behind what it needs."""
    found: dict[str, None] = {}
    for name in names:
        needed = with_imports(*_IMPORT.findall(text(name)))
        found |= dict.fromkeys([*needed, name])
    return list(found)


def mount(name: str) -> str:
    """The name of the function by which a module draws a component; nothing where it draws none."""
    found = _MOUNT.search(text(name))
    return found[1] if found else ""


def _imported(name: str) -> str:
    return f"import(new URL('{address(name)}', document.baseURI).href)"


@functools.cache
def _folder() -> str:
    said = hashlib.sha256("".join(f"{name}\n{text(name)}" for name in served()).encode())
    return f"specviz/js-{said.hexdigest()[:16]}"


def _answer(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in served():
        return Response("There is no such script.", status_code=404, media_type="text/plain")
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(text(name), media_type="text/javascript", headers=KEPT)
    return Response(_compressed(name), media_type="text/javascript", headers={**KEPT, "Content-Encoding": "gzip"})


@functools.cache
def _compressed(name: str) -> bytes:
    return gzip.compress(text(name).encode(), compresslevel=9, mtime=0)


_MADE = {
    "palette": lambda: f"export const PALETTE = {json.dumps(palette(), ensure_ascii=True)};\n",
    "glossary": lambda: f"export const GLOSSARY = {_definitions()};\n",
    "plotly": lambda: f"export const PLOTLY = '{PLOTLY_PATH}';\n",
}
"""Modules that no file holds."""


def _definitions() -> str:
    return to_wire({term.slug: term.definition for term in glossary.terms().values()})
