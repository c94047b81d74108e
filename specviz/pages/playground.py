"""Playground: type a prompt, choose a method, watch it decode. Layout first, wiring last."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, ClassVar

import gradio as gr
from gradio.components import Component

from engine.errors import BadInput
from engine.options import OptionSpec
from specviz import request, wire
from specviz.device import Device
from specviz.fold import ViewState, fold_all
from specviz.pages import files
from specviz.pages.stage import make_stage
from specviz.session import Sessions
from specviz.wire import Streams

PREFERRED_METHOD = "draft_model"
_log = logging.getLogger(__name__)
_BUSY = (gr.Button(interactive=False), gr.Button(interactive=False), gr.Button(interactive=True))
_READY = (gr.Button(interactive=True), gr.Button(interactive=True), gr.Button(interactive=False))


@dataclass(frozen=True)
class Playground:
    """The page and its handlers. What belongs to one visitor is in that visitor's state."""

    id: ClassVar[str] = "play"
    title: ClassVar[str] = "Playground"
    sessions: Sessions
    streams: Streams

    def arrive(self, query: Mapping[str, str]) -> Sequence[Any]:
        """Nothing to open here."""
        return ()

    def messages(
        self, prompt: object, model: object, settings: object, baseline: object, visitor: str
    ) -> Generator[str, None, None]:
        """One run as messages for the stage. Closing the generator stops the run."""
        try:
            wanted = request.parse(self.sessions.device, prompt, model, settings, baseline)
            yield from self._stream(wanted, visitor)
        except BadInput as error:
            yield wire.alert(str(error))
        except Exception as error:  # noqa: BLE001 - a bug must not leave the page with its buttons off
            _log.exception("the page broke")
            yield wire.alert(f"The page broke: {type(error).__name__}. What was decoded is saved; please try again.")

    def _stream(self, wanted: request.Request, visitor: str) -> Iterator[str]:
        stream, state = self.streams.open(), ViewState()
        with closing(self.sessions.run(wanted, visitor)) as batches:
            for batch in batches:
                state = fold_all(state, batch)
                yield stream.delta(state)
        yield stream.snapshot(state)

    def run(
        self, prompt: object, model: object, settings: object, baseline: object, who: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """The Run button: stage, Run, Same again, Stop, and what was run."""
        asked = {"prompt": prompt, "model": model, "settings": settings, "baseline": baseline}
        yield gr.skip(), *_BUSY, asked
        with closing(self.messages(prompt, model, settings, baseline, visitor_of(who))) as messages:
            for message in messages:
                yield message, gr.skip(), gr.skip(), gr.skip(), gr.skip()
        yield gr.skip(), *_READY, gr.skip()

    def stop(self, who: gr.Request) -> None:
        """The Stop button."""
        self.sessions.stop(visitor_of(who))

    @staticmethod
    def restore(asked: dict[str, Any] | None) -> tuple[Any, ...]:
        """The controls as they were at the last run."""
        if not asked:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        return asked["prompt"], asked["model"], asked["settings"], asked["baseline"]

    def build(self) -> Sequence[Component]:
        """Lay the page out inside the current tab."""
        with gr.Row(elem_classes=["sv-columns"]):
            with gr.Column(elem_classes=["sv-controls"], min_width=280):
                controls = _controls(self.sessions.device)
            with gr.Column(elem_classes=["sv-main"], min_width=280):
                stage = make_stage("stage", self.streams)
        self._wire(controls, stage)
        return ()

    def _wire(self, controls: _Controls, stage: gr.HTML) -> None:
        inputs = [controls.prompt, controls.model, controls.settings, controls.baseline]
        last = gr.State(None)
        outputs = [stage, controls.run, controls.again, controls.stop, last]
        common: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None}
        controls.run.click(self.run, inputs, outputs, api_name="run", **common)
        restored = controls.again.click(self.restore, [last], inputs, show_progress="hidden", api_visibility="private")
        restored.success(self.run, inputs, outputs, api_visibility="private", **common)
        controls.stop.click(self.stop, None, None, queue=False, show_progress="hidden", api_name="stop")
        controls.examples.pick(
            pick, None, [controls.prompt], queue=False, show_progress="hidden", api_visibility="private"
        )


@dataclass(frozen=True)
class _Controls:
    prompt: gr.Textbox
    examples: gr.HTML
    model: gr.Dropdown
    settings: gr.HTML
    baseline: gr.Checkbox
    run: gr.Button
    stop: gr.Button
    again: gr.Button


def pick(event: gr.EventData) -> str:
    """An example's prompt by its id."""
    wanted = getattr(event, "example", None)
    found = next((example.prompt for example in files.examples() if example.id == wanted), None)
    return gr.skip() if found is None else found


def visitor_of(who: gr.Request | None) -> str:
    """Who is asking: one open page."""
    return str(getattr(who, "session_hash", None) or uuid.uuid4().hex)


def default_settings(device: Device) -> str:
    """The settings component's first value."""
    names = [method.name for method in device.methods()]
    method = PREFERRED_METHOD if PREFERRED_METHOD in names else names[-1]
    return json.dumps({"method": method, "options": {}, "sampling": {}})


def catalog(device: Device) -> str:
    """Methods and settings with their ranges, as JSON text from which the page makes controls."""
    methods = [
        {
            "name": method.name,
            "title": method.title,
            "summary": f"{method.summary} ({method.source})",
            "guarantee": method.guarantee,
            "options": [_field(request.page_spec(device, spec)) for spec in method.options],
        }
        for method in device.methods()
    ]
    return json.dumps({"methods": methods, "sampling": [_field(spec) for spec in request.sampling_specs()]})


def _field(spec: OptionSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "label": spec.name.replace("_", " ").capitalize(),
        "type": spec.type.__name__,
        "default": spec.default,
        "low": spec.low,
        "high": spec.high,
        "unit": spec.unit,
        "choices": list(spec.choices),
        "help": spec.help,
        "range": f"Takes {spec.range_text()}." if not spec.choices else "",
    }


def _controls(device: Device) -> _Controls:
    first = files.examples()[0]
    prompt = gr.Textbox(
        label="Prompt",
        value=first.prompt,
        lines=5,
        max_lines=14,
        placeholder="Ask for a short story …",
        elem_id="prompt",
    )
    examples = gr.HTML(
        html_template=files.TEMPLATE,
        js_on_load=files.on_load("dom", "chips", TASKS=files.example_menu()),
        apply_default_css=False,
        elem_id="examples",
        elem_classes=["sv-component"],
    )
    with gr.Row(elem_classes=["sv-actions"]):
        run = gr.Button("Run", variant="primary", elem_id="run", min_width=96, scale=2)
        stop = gr.Button("Stop", variant="stop", elem_id="stop", interactive=False, min_width=72, scale=1)
        again = gr.Button("Same again", elem_id="again", interactive=False, min_width=96, scale=1)
    baseline = gr.Checkbox(label="Measure plain decoding too", value=True, elem_id="baseline")
    choices = [(title, name) for name, title in device.models().items()]
    model = gr.Dropdown(choices, value=choices[0][1], label="Model", elem_id="model")
    initial = default_settings(device)
    settings = gr.HTML(
        value=initial,
        html_template=files.TEMPLATE,
        js_on_load=files.on_load("dom", "tooltip", "fields", "settings", CATALOG=catalog(device), FIRST=initial),
        apply_default_css=False,
        elem_id="settings",
        elem_classes=["sv-component"],
    )
    return _Controls(prompt, examples, model, settings, baseline, run, stop, again)
