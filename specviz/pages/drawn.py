"""The page's own components: an empty element that scripts of assets/js draw in, and what these may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from specviz.pages import files, scripts

QUIET: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
"""Of an event that shows no spinner, waits for no other and is no endpoint of the api."""
Answer = Callable[[Any], str]


def drawn(
    elem_id: str,
    script: str,
    value: str = "",
    *,
    serves: Mapping[str, Answer] | None = None,
    known: Mapping[str, Any] | None = None,
    **props: Any,
) -> gr.HTML:
    """A component that this module of assets/js draws from its value.

    `serves`: what it may ask by name, each with one argument, answered in threads of their own. `known`: constants
    of its own.
    """
    return gr.HTML(
        value=value,
        html_template=files.TEMPLATE,
        js_on_load=scripts.on_load(script, **known or {}),
        server_functions=[_served(name, answer) for name, answer in (serves or {}).items()],
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=["sv-component"],
        **props,
    )


def _served(name: str, answer: Answer) -> Answer:
    """The page asks by the function's own name."""

    def serve(given: Any) -> str:
        return answer(given)

    serve.__name__ = name
    return serve
