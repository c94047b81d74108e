"""Inspector: a saved run step by step, with every draft tree. The run is read once; scrubbing asks nobody."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from gradio.components import Component

from engine.errors import BadInput
from engine.events import Event
from specviz.decoding.device import Device
from specviz.explaining import recording
from specviz.pages import recorded_race
from specviz.pages.drawn import drawn
from specviz.pages.stage import asked_of
from specviz.pages.view import VIEWER
from specviz.showing import listing, origin
from specviz.showing.trace import trace
from specviz.store import Reader, RunRow, StoreError, UnknownRun
from specviz.text import first_line, to_wire, without_surrogates
from specviz.times import moment

NUM_RUNS = 40
MAX_STEP_CHARS = 9
PROMPT_CHARS = 60


@dataclass(frozen=True)
class Inspector:
    """The page and its handlers."""

    id: ClassVar[str] = "inspect"
    title: ClassVar[str] = "Inspector"
    store: Reader
    device: Device | None = None
    """Tells the texts of a prompt's tokens."""

    def arrive(self, query: Mapping[str, str]) -> Sequence[Any]:
        """Which run and step the address names; else the newest run that was measured here, or the recorded one.

        What somebody brought in a file opens for those only who ask for it.
        """
        runs, first = self._runs(query.get(VIEWER, ""))
        wanted = query.get("run") or first
        step = query.get("step", "")
        is_number = step.isascii() and step.isdigit() and len(step) <= MAX_STEP_CHARS
        message = {"run": wanted[: listing.MAX_ID_CHARS], "runs": runs, "step": int(step) if is_number else None}
        return (to_wire(message | {"nonce": uuid.uuid4().hex}),)

    def read(self, run_id: object) -> str:
        """A whole run as one text for the page's scripts, or a sentence about why there is none."""
        if run_id == recording.ID:
            return to_wire(trace(recording.events()))
        try:
            wanted = listing.run_id(run_id)
            return to_wire(trace(self._events(wanted), self._origin(wanted)))
        except (BadInput, StoreError) as error:
            return to_wire({"alert": without_surrogates(str(error))})

    def _events(self, run_id: str) -> list[Event]:
        """Of a saved run, or of one of the recorded race."""
        try:
            return self.store.events(run_id)
        except UnknownRun as error:
            try:
                return recorded_race.events(run_id)
            except UnknownRun:
                raise error from None

    def _origin(self, run_id: str) -> str:
        """In words; nothing of the recorded race."""
        return "".join(map(origin.in_words, self.store.get_runs([run_id])))

    def build(self) -> Sequence[Component]:
        """Lay the page out inside the current tab."""
        serves = {"read": self.read, "asked": asked_of(self.store, self.device)}
        return (drawn("inspector", "inspectview", serves=serves),)

    def _runs(self, viewer: str) -> tuple[list[dict[str, str]], str]:
        """The newest runs and the recorded one, for the menu; the id of the one that opens by itself."""
        try:
            rows = self.store.list_runs(limit=NUM_RUNS, viewer=viewer)
        except StoreError:
            rows = []
        found = [{"id": row.id, "label": _label(row)} for row in rows]
        first = next((row.id for row in rows if not origin.is_claim(row)), recording.ID)
        return [*found, {"id": recording.ID, "label": recording.TITLE}], first


def _label(row: RunRow) -> str:
    whence = "imported · " if origin.is_claim(row) else ""
    return f"{whence}{moment(row.created_at)} · {row.method} · {first_line(row.prompt, PROMPT_CHARS)}"
