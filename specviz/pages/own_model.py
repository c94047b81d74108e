"""A visitor's own model, where this instance takes one: what it would need, and loading it in the device's turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from engine.errors import BadInput, EngineError
from specviz.decoding import request
from specviz.decoding.device import Device, Loading, Request
from specviz.decoding.session import Sessions, load
from specviz.pages.asking import asker, beside, told
from specviz.pages.drawn import Answer
from specviz.showing.notices import Failed, Happening
from specviz.text import to_wire, without_surrogates

NAMES = ("model", *(field.name for field in fields(Loading)))
"""What the form asks for."""
Batches = Generator[list[Happening], None, None]


@dataclass(frozen=True)
class OwnModel:
    """Loading in a view."""

    sessions: Sessions
    show: Callable[[Batches], Iterator[str]]
    """What happens as messages for the view's stage."""

    def load(self, given: object, visitor: str, address: str = "") -> Generator[str, None, bool]:
        """Messages for the stage; whether it is loaded now. Closing the generator stops it."""
        failures: list[Happening] = []
        yield from told(self._stream(given, (visitor, address), failures))
        return not failures

    def _stream(self, given: object, asker: tuple[str, str], failures: list[Happening]) -> Iterator[str]:
        failures.append(Failed(""))  # until it has come to its end
        wanted = _wanted(self.sessions.device, given)
        yield from self.show(_noted(self.sessions.perform(load(wanted), asker[0], address=asker[1]), failures))

    def pressed(
        self, settings: object, event: gr.EventData, who: gr.Request, busy: Sequence[Any], ready: Sequence[Any]
    ) -> Iterator[tuple[Any, ...]]:
        """The Load button: stage, the view's buttons as they are meanwhile and afterwards, model, settings."""
        given = {name: getattr(event, name) for name in NAMES if hasattr(event, name)}
        unchanged = gr.skip(), gr.skip()
        is_loaded = yield from beside(self.load(given, *asker(self.sessions, who)), (*busy, *unchanged))
        yield gr.skip(), *ready, *(self._taken(settings, given) if is_loaded else unchanged)

    def _taken(self, settings: object, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """The menu of models with one more, which is chosen, and the form's settings."""
        titles = {given["model"]: given["model"], **self.sessions.device.models()}
        menu = gr.Dropdown([(title, name) for name, title in titles.items()], value=given["model"])
        return menu, _chosen(settings, given)


def serves(device: Device) -> dict[str, Answer]:
    """What the form asks the server, where there is one."""
    return {"needs": lambda given: needs(device, given)} if device.takes_own else {}


def needs(device: Device, given: object) -> str:
    """What the model would need, as `{text, fits}` in JSON."""
    text, fits = fit(device, given)
    return to_wire({"text": text, "fits": fits})


def fit(device: Device, given: object) -> tuple[str, bool]:
    """What the model would need, in words, and whether there is room; a sentence where there is no such model."""
    try:
        wanted = _wanted(device, given)
        found = device.needs(wanted.model, wanted.loading)
    except EngineError as error:
        return without_surrogates(str(error)), False
    return without_surrogates(found.text), found.fits


def _wanted(device: Device, given: object) -> Request:
    """Raises BadInput, also where this instance takes no own models."""
    if not device.takes_own:
        raise BadInput("This instance runs its own models only.")
    asked = given if isinstance(given, Mapping) else {}
    return request.parse_loading(device, asked.get("model"), {name: asked[name] for name in NAMES if name in asked})


def _chosen(settings: object, given: Mapping[str, Any]) -> str:
    """A form's settings with the model that was loaded: how it is loaded again, and that it was."""
    try:
        before = json.loads(str(settings))
    except ValueError:
        before = {}
    kept = before if isinstance(before, dict) else {}
    return json.dumps({**kept, "loading": dict(given), "loaded": True})


def _noted(batches: Batches, failures: list[Happening]) -> Batches:
    """The same batches; `failures` holds what failed in them."""
    with closing(batches):
        for batch in batches:
            yield batch
            failures += [happening for happening in batch if isinstance(happening, Failed)]
        del failures[0]
