"""The view of one run, live or saved: a static template, drawn by assets/js from the texts of `specviz.wire`."""

from __future__ import annotations

import gradio as gr

from specviz.fold import ViewState
from specviz.pages import files
from specviz.wire import Streams

SCRIPTS = ("dom", "address", "tooltip", "glossary", "card", "tokens", "legend", "stream", "tiles", "figures", "stage")


def make_stage(elem_id: str, streams: Streams, *extra: str) -> gr.HTML:
    """An empty stage. Give it `Stream.delta` and `Stream.snapshot` texts. `extra`: more scripts to draw on it."""

    def snapshot(stream_id: str) -> str:
        return streams.snapshot(stream_id)

    return gr.HTML(
        value=streams.open().snapshot(ViewState()),
        html_template=files.TEMPLATE,
        js_on_load=files.on_load(*SCRIPTS, *extra),
        server_functions=[snapshot],
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=["sv-component"],
    )
