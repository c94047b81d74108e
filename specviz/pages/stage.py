"""The view of one run, live or saved: a static template, drawn by assets/js from the texts of `showing.wire`."""

from __future__ import annotations

from collections.abc import Mapping

import gradio as gr

from engine.errors import BadInput
from specviz.pages.drawn import Answer, drawn
from specviz.showing import channel, listing
from specviz.showing.channel import Streams
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.replay import replay
from specviz.showing.wire import Stream
from specviz.store import Reader, StoreError


def saved_run(archive: Reader, streams: Streams, run_id: object) -> str:
    """A saved run as one message for the stage; a sentence where there is none."""
    try:
        state = fold_all(ViewState(), replay(archive, listing.run_id(run_id)))
    except (BadInput, StoreError) as error:
        return channel.alert(str(error))
    return streams.keep(Stream()).snapshot(state)


def make_stage(
    elem_id: str, streams: Streams, script: str = "stage", *, serves: Mapping[str, Answer] | None = None
) -> gr.HTML:
    """An empty stage. Give it `Stream.delta` and `Stream.snapshot` texts.

    `script`: what draws it, more than a stage perhaps; `serves`: the server functions that it asks.
    """
    first, asked = streams.keep(Stream()).snapshot(ViewState()), {"snapshot": streams.snapshot, **(serves or {})}
    return drawn(elem_id, script, first, serves=asked)
