"""Sessions: the saved runs, newest first; one of them opens in the same view as a live run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gradio as gr
from gradio.components import Component

from specviz import wire
from specviz.fold import ViewState, fold_all
from specviz.pages import files
from specviz.pages.stage import make_stage
from specviz.replay import replay
from specviz.rows import to_row
from specviz.store import Reader, StoreError
from specviz.text import to_wire, without_surrogates
from specviz.wire import Streams

NUM_ROWS = 100
MAX_ID_CHARS = 80


@dataclass(frozen=True)
class SavedRuns:
    """The page and its handlers."""

    id: ClassVar[str] = "sessions"
    title: ClassVar[str] = "Sessions"
    store: Reader
    streams: Streams

    def arrive(self, query: Mapping[str, str]) -> Sequence[Any]:
        """The newest runs, and the one that the address names."""
        run_id = query.get("run", "")
        return self.rows(run_id), self.open(run_id) if run_id else gr.skip()

    def rows(self, open_run: str = "") -> str:
        """The newest runs as JSON text for the list."""
        try:
            rows = [to_row(run) for run in self.store.list_runs(limit=NUM_ROWS)]
            count = self.store.count_runs()
        except StoreError as error:
            return to_wire({"rows": [], "note": str(error)})
        note = f"The newest {NUM_ROWS} of {count:,} runs." if count > NUM_ROWS else ""
        note = note if rows else "Nothing is saved yet. Every run of the Playground is kept here."
        return to_wire({"rows": rows, "note": note, "open": open_run})

    def open(self, run_id: object) -> str:
        """A saved run as one message for the stage."""
        if not isinstance(run_id, str) or not 0 < len(run_id) <= MAX_ID_CHARS:
            return wire.alert("That is not a run's id.")
        try:
            state = fold_all(ViewState(), replay(self.store, without_surrogates(run_id)))
        except StoreError as error:
            return wire.alert(str(error))
        return self.streams.open().snapshot(state)

    def picked(self, event: gr.EventData) -> str:
        """A row was pressed."""
        return self.open(getattr(event, "run", None))

    def build(self) -> Sequence[Component]:
        """Lay the page out inside the current tab. Returns list and stage."""
        table = gr.HTML(
            value=to_wire({"rows": [], "note": "Loading …"}),
            html_template=files.TEMPLATE,
            js_on_load=files.on_load("dom", "address", "table"),
            apply_default_css=False,
            elem_id="runs",
            elem_classes=["sv-component"],
        )
        stage = make_stage("saved-stage", self.streams)
        table.open(self.picked, None, [stage], show_progress="hidden", concurrency_limit=None, api_visibility="private")
        return table, stage
