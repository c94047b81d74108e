"""The view of one run, live or saved: a static template, drawn by assets/js from the texts of `showing.wire`."""

from __future__ import annotations

from collections.abc import Mapping

import gradio as gr

from engine.errors import BadInput
from engine.events import SessionStarted
from specviz.decoding.device import Device
from specviz.pages import plot
from specviz.pages.drawn import Answer, drawn
from specviz.routes import PLOTLY_PATH
from specviz.showing import channel, listing
from specviz.showing.asked import asked
from specviz.showing.channel import Streams
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.replay import replay
from specviz.showing.wire import Stream
from specviz.store import Reader, StoreError
from specviz.text import to_wire

SCRIPTS = (
    *(*plot.SCRIPTS, "card", "writing", "tokens", "legend", "stream", "tiles", "figures", "tokenlist", "asked"),
    *("drafttree", "treedrawing", "treeview", "livetree", "stage"),
)


def saved_run(archive: Reader, streams: Streams, run_id: object) -> str:
    """A saved run as one message for the stage; a sentence where there is none."""
    try:
        state = fold_all(ViewState(), replay(archive, listing.run_id(run_id)))
    except (BadInput, StoreError) as error:
        return channel.alert(str(error))
    return streams.keep(Stream()).snapshot(state)


def asked_of(archive: Reader, device: Device | None = None) -> Answer:
    """What answers, by a run's id, what it was given; with its tokens' texts where the device knows them."""

    def answer(run_id: object) -> str:
        try:
            started = next(
                event for event in archive.events(listing.run_id(run_id)) if isinstance(event, SessionStarted)
            )
        except (BadInput, StoreError) as error:
            return channel.alert(str(error))
        texts = device.texts(started.model, started.prompt_ids) if device else None
        return to_wire(asked(started, texts))

    return answer


def make_stage(elem_id: str, streams: Streams, *extra: str, serves: Mapping[str, Answer] | None = None) -> gr.HTML:
    """An empty stage. Give it `Stream.delta` and `Stream.snapshot` texts.

    `extra`: more scripts to draw on it; `serves`: the server functions that they ask.
    """
    first, asked = streams.keep(Stream()).snapshot(ViewState()), {"snapshot": streams.snapshot, **(serves or {})}
    return drawn(elem_id, (*SCRIPTS, *extra), first, serves=asked, known={"PLOTLY": PLOTLY_PATH})
