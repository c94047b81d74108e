"""The view of one run, live or saved: a static template, drawn by assets/js from the texts of `showing.wire`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from specviz.pages import files
from specviz.showing import wire
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.replay import Archive, replay
from specviz.showing.wire import Streams
from specviz.store import StoreError
from specviz.text import without_surrogates

MAX_ID_CHARS = 80

SCRIPTS = (
    *("dom", "address", "tooltip", "glossary", "card", "writing", "tokens", "legend"),
    *("stream", "tiles", "figures", "stage"),
)


def saved_run(archive: Archive, streams: Streams, run_id: object) -> str:
    """A saved run as one message for the stage; a sentence where there is none."""
    if not isinstance(run_id, str) or not 0 < len(run_id) <= MAX_ID_CHARS:
        return wire.alert("That is not a run's id.")
    try:
        state = fold_all(ViewState(), replay(archive, without_surrogates(run_id)))
    except StoreError as error:
        return wire.alert(str(error))
    return streams.open().snapshot(state)


def make_stage(elem_id: str, streams: Streams, *extra: str, serves: Sequence[Callable[..., Any]] = ()) -> gr.HTML:
    """An empty stage. Give it `Stream.delta` and `Stream.snapshot` texts.

    `extra`: more scripts to draw on it; `serves`: the server functions that they ask.
    """

    def snapshot(stream_id: str) -> str:
        return streams.snapshot(stream_id)

    return gr.HTML(
        value=streams.open().snapshot(ViewState()),
        html_template=files.TEMPLATE,
        js_on_load=files.on_load(*SCRIPTS, *extra),
        server_functions=[snapshot, *serves],
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=["sv-component"],
    )
