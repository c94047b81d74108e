"""Compare: several methods on one prompt, raced one after another and replayed together. Layout first, wiring last."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gradio as gr
from gradio.components import Component

from engine.errors import BadInput
from specviz.decoding import request
from specviz.decoding.device import PLAIN, Device, Method, runnable
from specviz.decoding.session import Sessions
from specviz.decoding.visitors import hashed
from specviz.pages import asking, own_model, recorded_race, scripts
from specviz.pages.drawn import QUIET, drawn
from specviz.pages.running import OFF, ON, Controls, Running
from specviz.pages.view import VIEWER
from specviz.race.course import course
from specviz.race.earlier import earlier
from specviz.race.fold import RaceState, fold_all
from specviz.race.reopening import reopen, run_ids
from specviz.race.wire import RaceStream
from specviz.showing import channel
from specviz.showing.channel import Streams
from specviz.showing.notices import Happening
from specviz.store import Store, StoreError
from specviz.text import printable, to_wire, without_surrogates

FIRST_LANES = ("draft_model", "prompt_lookup", "aded")
"""Beside plain decoding, where they can run."""


@dataclass(frozen=True)
class Compare(Running):
    """The page and its handlers."""

    id: ClassVar[str] = "compare"
    title: ClassVar[str] = "Compare"
    busy = OFF, ON
    ready = ON, OFF
    sessions: Sessions
    store: Store
    streams: Streams

    def arrive(self, query: Mapping[str, str]) -> Sequence[Any]:
        """The runs that the address names, without any what is on screen; and the races that were run before."""
        return self.open(query["ids"]) if query.get("ids") else gr.skip(), self.earlier(0, query.get(VIEWER, ""))

    def open(self, ids: object) -> str:
        """Saved runs, or the recorded race, side by side, as one message for the stage."""
        if ids == recorded_race.ID:
            return self._recorded()
        try:
            state = fold_all(RaceState(), reopen(self.store, run_ids(without_surrogates(str(ids)))))
        except (BadInput, StoreError) as error:
            return channel.alert(str(error))
        return self._open_stream().snapshot(state)

    def _recorded(self, *, is_offer: bool = False) -> str:
        stream = self.streams.keep(RaceStream(self._methods(), recorded_race.words()))
        return stream.snapshot(fold_all(RaceState(), recorded_race.happenings()), is_offer=is_offer)

    def earlier(self, page: object = 0, viewer: str = "") -> str:
        """A page of earlier races as text, or `{alert: a sentence}`; `viewer`: the browser that asks."""
        try:
            found = earlier(self.store, self._methods(), page, viewer)
        except (BadInput, StoreError) as error:
            found = {"alert": str(error)}
        return to_wire(printable(found))

    def asked_for_earlier(self, given: Any) -> str:
        """The same for the page: `{page, visitor}`, the browser's token."""
        asked = given if isinstance(given, dict) else {}
        return self.earlier(asked.get("page"), hashed(asked.get("visitor")))

    def messages(
        self, prompt: object, model: object, settings: object, visitor: str, address: str = "", sharing: object = ""
    ) -> Generator[str, None, None]:
        """One race as messages for the stage. Closing the generator stops it."""
        yield from asking.told(self._stream((prompt, model, settings, sharing), visitor, address))

    def _stream(self, asked: tuple[object, object, object, object], visitor: str, address: str) -> Iterator[str]:
        lanes = request.parse_race(self.sessions.device, *asked)
        yield from self._shown(self.sessions.perform(course(lanes), visitor, self.id, address))

    def _shown(self, batches: Generator[list[Happening], None, None]) -> Iterator[str]:
        return asking.streamed(batches, self._open_stream(), RaceState(), fold_all)

    def _open_stream(self) -> RaceStream:
        return self.streams.keep(RaceStream(self._methods()))

    def _methods(self) -> dict[str, Method]:
        return {method.name: method for method in self.sessions.device.methods()}

    def run(
        self, prompt: object, model: object, settings: object, sharing: object, who: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """The Race button: stage, Race, Stop, earlier races."""
        page, address = asking.asker(self.sessions, who)
        yield from self._until_the_end(self.messages(prompt, model, settings, page, address, sharing), page)

    def join(self, event: gr.EventData, who: gr.Request) -> Iterator[tuple[Any, ...]]:
        """The view is seen for the first time: the race that goes on in its tab, else the recorded one."""
        if (batches := asking.rejoined(self.sessions, self.id, event, who)) is not None:
            yield from self._until_the_end(asking.told(self._shown(batches)), asking.visitor_of(who))
            return
        yield gr.skip() if getattr(event, "ids", "") else self._recorded(is_offer=True), *(gr.skip(),) * 3

    def _until_the_end(self, messages: Generator[str, None, None], page: str) -> Iterator[tuple[Any, ...]]:
        """Stage, buttons, earlier races."""
        yield from asking.beside(messages, (*self.busy, gr.skip()))
        yield gr.skip(), *self.ready, gr.skip()
        self.store.flush()  # so that the list holds this race too
        yield gr.skip(), *self.ready, self.earlier(0, self.sessions.visitors.of_page(page))

    def build(self) -> Sequence[Component]:
        """Lay the page out inside the current tab."""
        with gr.Row(elem_classes=["sv-columns"]):
            with gr.Column(elem_classes=["sv-controls"], min_width=280):
                controls = _controls(self.sessions)
            with gr.Column(elem_classes=["sv-main"], min_width=280):
                stage = self._stage()
                before = drawn("race-earlier", "earlier", serves={"earlier_races": self.asked_for_earlier})
        self._wire(controls, stage, before)
        return stage, before

    def _stage(self) -> gr.HTML:
        serves = {"snapshot": self.streams.snapshot}
        return drawn("race-stage", "raceback", self._open_stream().snapshot(), serves=serves)

    def _wire(self, controls: Controls, stage: gr.HTML, before: gr.HTML) -> None:
        inputs = [controls.prompt, controls.model, controls.settings, controls.sharing]
        outputs = [stage, controls.run, controls.stop, before]
        controls.run.click(None, None, None, js=_forget(), **QUIET)
        ran = controls.run.click(self.run, inputs, outputs, **QUIET)
        if self.sessions.device.takes_own:
            controls.settings.load_own(None, None, None, js=_forget(), **QUIET)
        self._wire_model(controls, outputs[:3], [ran])
        stage.join(self.join, None, outputs, **QUIET)
        controls.stop.click(self.stop, None, None, queue=False, **QUIET)


def first_settings(device: Device) -> str:
    """The lanes component's first value: plain decoding and a few others."""
    names = [name for name in runnable(device) if name != PLAIN]
    chosen = [name for name in FIRST_LANES if name in names] or sorted(names)[:1]
    return json.dumps({"lanes": [{"method": name, "options": {}} for name in (PLAIN, *chosen)], "sampling": {}})


def _forget() -> str:
    """What the address named is not what is on screen any more."""
    return scripts.calling("address", "note", {"view": "compare"})


def _controls(sessions: Sessions) -> Controls:
    device = sessions.device
    prompt = asking.prompt_box(device, "race-prompt")
    sharing = asking.sharing_menu(sessions.policy, "race-sharing")
    examples = asking.example_chips(device, "race-examples")
    with gr.Row(elem_classes=["sv-actions"]):
        run, stop = asking.start_and_stop("Race", "race-run", "race-stop")
    model = asking.model_menu(device, "race-model")
    serves = own_model.serves(device)
    settings = asking.settings_form(device, "race-settings", first_settings(device), "contenders", serves=serves)
    return Controls(prompt, sharing, examples, model, settings, run, stop)
