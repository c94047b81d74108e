"""Playground: type a prompt, choose a method, watch it decode. Layout first, wiring last."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gradio as gr
from gradio.components import Component

from engine.errors import BadInput
from specviz.decoding import link, request
from specviz.decoding.device import Device, first_method
from specviz.decoding.session import Sessions
from specviz.pages import asking, own_model
from specviz.pages.drawn import QUIET, drawn
from specviz.pages.running import OFF, ON, Controls, Running
from specviz.pages.stage import asked_of, make_stage, saved_run
from specviz.showing.asked import conversation_of
from specviz.showing.channel import Streams, alert
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.notices import Happening
from specviz.showing.wire import Stream
from specviz.store import Reader, RunRow, StoreError
from specviz.text import printable, to_wire, without_surrogates

PATIENCE_S = 3.0
"""For a run to end whose page has gone: it does at its next step."""
LOOK_EVERY_S = 0.1
GOES_ON = "This run is still going on in another page. Reload this one when it has ended: it will be here."
_FOCUS = "() => document.querySelector('#prompt textarea')?.focus()"


@dataclass(frozen=True)
class Playground(Running):
    """The page and its handlers. What belongs to one visitor is in that visitor's state."""

    id: ClassVar[str] = "play"
    title: ClassVar[str] = "Playground"
    busy = OFF, OFF, ON
    ready = ON, ON, OFF
    sessions: Sessions
    streams: Streams
    store: Reader

    def arrive(self, query: Mapping[str, str]) -> Sequence[Any]:
        """The settings that the address asks for, its own or a saved run's (`again`), and what it asks in vain.

        The stage asks for the run of the address by itself.
        """
        again = query.get("again", "")
        if not again and not any(key.startswith(link.PREFIX) for key in query):
            return (gr.skip(),) * (len(link.CONTROLS) + 1)
        try:
            asked = link.of_run(self.store.get_run(without_surrogates(again))) if again else query
            found = link.opened(self.sessions.device, asked, first_method(self.sessions.device))
        except StoreError as error:
            found, again = link.Opened({}, (str(error),)), ""
        told = {"values": found.values, "notices": found.notices, "opened": again, "nonce": uuid.uuid4().hex}
        return (*(found.values.get(name, gr.skip()) for name in link.CONTROLS), to_wire(printable(told)))

    def saved(self, run_id: object) -> str:
        """A run that the address names, as one message for the stage; one that is just being stopped is waited for."""
        until = time.monotonic() + PATIENCE_S
        while self._goes_on(run_id):
            if time.monotonic() > until:
                return alert(GOES_ON)
            time.sleep(LOOK_EVERY_S)
        return saved_run(self.store, self.streams, run_id)

    def _goes_on(self, run_id: object) -> bool:
        try:
            return self.store.get_run(without_surrogates(str(run_id))).status == "running"
        except StoreError:
            return False

    def messages(
        self, prompt: object, model: object, settings: object, baseline: object, visitor: str, *more: object
    ) -> Generator[str, None, None]:
        """One run as messages for the stage; `more`: address, sharing. Closing the generator stops the run."""
        address, sharing = (*more, "", "")[:2]
        yield from asking.told(self._stream((prompt, model, settings, baseline, sharing), visitor, str(address)))

    def _stream(self, asked: tuple[Any, ...], visitor: str, address: str) -> Iterator[str]:
        wanted = request.parse(self.sessions.device, *asked)
        yield from self._shown(self.sessions.run(wanted, visitor, self.id, address))

    def _shown(self, batches: Generator[list[Happening], None, None]) -> Iterator[str]:
        return asking.streamed(batches, self.streams.keep(Stream()), ViewState(), fold_all)

    def run(
        self, prompt: object, model: object, settings: object, baseline: object, sharing: object, who: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """The Run button: stage, Run, Same again, Stop, and what was run."""
        asked = {"prompt": prompt, "model": model, "settings": settings, "baseline": baseline}
        messages = self.messages(prompt, model, settings, baseline, *asking.asker(self.sessions, who), sharing)
        yield from self._until_the_end(messages, asked if request.is_short(prompt, settings) else None)

    def join(self, event: gr.EventData, who: gr.Request) -> Iterator[tuple[Any, ...]]:
        """A page has been loaded: the run that goes on in its tab, else the one that its address names."""
        if (batches := asking.rejoined(self.sessions, self.id, event, who)) is not None:
            yield from self._until_the_end(asking.told(self._shown(batches)), gr.skip())
            return
        run_id = getattr(event, "run", "")
        yield self.saved(run_id) if run_id else gr.skip(), *(gr.skip(),) * 4

    def _until_the_end(self, messages: Generator[str, None, None], asked: object) -> Iterator[tuple[Any, ...]]:
        """Stage, buttons, and what was run."""
        yield from asking.beside(messages, (*self.busy, asked))
        yield gr.skip(), *self.ready, asked

    @staticmethod
    def restore(asked: dict[str, Any] | None) -> tuple[Any, ...]:
        """The controls as they were at the last run."""
        if not asked:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        return asked["prompt"], asked["model"], asked["settings"], asked["baseline"]

    def read(self, prompt: object, model: object, settings: object) -> str:
        """The prompt as the model would read it, for the page to list; a sentence where that cannot be said."""
        device = self.sessions.device
        try:
            wanted = request.parse_reading(device, prompt, model, settings)
            ids = device.read(wanted)
        except BadInput as error:
            return to_wire({"alert": without_surrogates(str(error)), "nonce": uuid.uuid4().hex})
        found = {"model": wanted.model, "ids": ids, "texts": device.texts(wanted.model, ids)}
        return to_wire({**printable(found), "nonce": uuid.uuid4().hex})

    def go_on(self, settings: object, event: gr.EventData) -> tuple[Any, ...]:
        """The conversation with a run's answer in it, for the next prompt: stage, prompt, settings."""
        try:
            run = self._ended(getattr(event, "run", ""))
            return gr.skip(), "", continued(settings, run)
        except (BadInput, StoreError) as error:
            return alert(str(error)), gr.skip(), gr.skip()

    def _ended(self, run_id: object) -> RunRow:
        """A run that has ended, or ends within a moment."""
        until = time.monotonic() + PATIENCE_S
        while self._goes_on(run_id) and time.monotonic() < until:
            time.sleep(LOOK_EVERY_S)
        return self.store.get_run(without_surrogates(str(run_id)))

    def build(self) -> Sequence[Component]:
        """Lay the page out inside the current tab."""
        with gr.Row(elem_classes=["sv-columns"]):
            with gr.Column(elem_classes=["sv-controls"], min_width=280):
                address = _address(self.sessions.device)
                controls = _controls(self.sessions)
            served = {"saved": self.saved, "asked": asked_of(self.store, self.sessions.device)}
            with gr.Column(elem_classes=["sv-main"], min_width=280):
                stage = make_stage("stage", self.streams, "wayback", serves=served)
        self._wire(controls, stage)
        told = [getattr(controls, name) for name in link.CONTROLS]
        changed = "(...values) => JSON.stringify({ values })"
        gr.on([control.change for control in told], None, told, [address], js=changed, **QUIET)
        return (*told, address)

    def _wire(self, controls: _Controls, stage: gr.HTML) -> None:
        inputs = [controls.prompt, controls.model, controls.settings, controls.baseline]
        last = gr.State(None)
        outputs = [stage, controls.run, controls.again, controls.stop, last]
        public = {**QUIET, "api_visibility": "public"}
        asked = [*inputs, controls.sharing]
        ran = controls.run.click(self.run, asked, outputs, api_name="run", **public)
        again = controls.again.click(self.restore, [last], inputs, **QUIET)
        ran_again = again.success(self.run, asked, outputs, **QUIET)
        self._wire_conversation(controls, stage)
        self._wire_model(controls, outputs[:4], (ran, ran_again))
        stage.join(self.join, None, outputs, **QUIET)
        controls.stop.click(self.stop, None, None, queue=False, api_name="stop", **public)

    def _wire_conversation(self, controls: _Controls, stage: gr.HTML) -> None:
        asked = [controls.prompt, controls.model, controls.settings]
        controls.settings.read_prompt(self.read, asked, [controls.tokens], **QUIET)
        outputs = [stage, controls.prompt, controls.settings]
        stage.go_on(self.go_on, [controls.settings], outputs, **QUIET).then(None, None, None, js=_FOCUS, **QUIET)


@dataclass(frozen=True)
class _Controls(Controls):
    tokens: gr.HTML
    """The prompt as the model reads it."""
    baseline: gr.Checkbox
    again: gr.Button


def default_settings(device: Device) -> str:
    """The settings component's first value."""
    return json.dumps({"method": first_method(device), "options": {}, "sampling": {}})


def continued(settings: object, run: RunRow) -> str:
    """A form's settings with a run's conversation, its prompt and answer the last turn. Raises BadInput without one."""
    around = conversation_of(run.config)
    if around.is_raw or not run.text.strip():
        what = "it was read raw, without turns" if around.is_raw else "there is none"
        raise BadInput(f"The conversation cannot go on from this answer: {what}.")
    said = [*around.said(run.prompt)] if around.messages else [{"role": "user", "content": run.prompt}]
    messages = [*said, {"role": "assistant", "content": run.text}]
    before = json.loads(str(settings))
    conversation = {**(before.get("conversation") or {}), "messages": messages}
    return json.dumps({**before, "conversation": conversation})


def _address(device: Device) -> gr.HTML:
    """The settings as a link; at first those that the controls begin with."""
    values = {"prompt": asking.first_prompt_of(device), "model": next(iter(device.models())), "baseline": True}
    first = json.dumps({"values": {**values, link.FORM: default_settings(device)}})
    return drawn("link", "link", first, known={"CONTROLS": link.CONTROLS})


def _controls(sessions: Sessions) -> _Controls:
    device = sessions.device
    prompt = asking.prompt_box(device, "prompt")
    sharing = asking.sharing_menu(sessions.policy, "sharing")
    examples = asking.example_chips(device, "examples")
    with gr.Row(elem_classes=["sv-actions"]):
        run, stop = asking.start_and_stop("Run", "run", "stop")
        again = gr.Button("Same again", elem_id="again", interactive=False, min_width=96, scale=1)
    baseline = gr.Checkbox(label="Measure plain decoding too", value=True, elem_id="baseline")
    model = asking.model_menu(device, "model")
    serves = own_model.serves(device)
    settings = asking.settings_form(device, "settings", default_settings(device), "settings", serves=serves)
    tokens = drawn("prompt-read", "promptread")
    return _Controls(prompt, sharing, examples, model, settings, run, stop, tokens, baseline, again)
