"""A visitor's own model, where this instance takes one: what it would need, and loading it in the device's turn."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any

from engine.errors import BadInput, EngineError
from specviz.decoding import request
from specviz.decoding.device import Loading, Request
from specviz.decoding.session import Sessions, load
from specviz.pages.asking import streamed, told
from specviz.showing.channel import Streams
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.notices import Failed, Happening
from specviz.showing.wire import Stream
from specviz.text import to_wire, without_surrogates

NAMES = ("model", *(field.name for field in fields(Loading)))
"""What the form asks for."""


@dataclass(frozen=True)
class OwnModel:
    """The handlers of the form."""

    sessions: Sessions
    streams: Streams

    def needs(self, given: object) -> str:
        """What the model would need, as `{text, fits}`; a sentence where there is none."""
        try:
            wanted = self._wanted(given)
            found = self.sessions.device.needs(wanted.model, wanted.loading)
        except EngineError as error:
            return to_wire({"text": without_surrogates(str(error)), "fits": False})
        return to_wire({"text": without_surrogates(found.text), "fits": found.fits})

    def load(self, given: object, visitor: str, address: str = "") -> Generator[str, None, bool]:
        """Messages for the stage; whether it is loaded now. Closing the generator stops it."""
        failures: list[Happening] = []
        yield from told(self._stream(given, (visitor, address), failures))
        return not failures

    def _stream(self, given: object, asker: tuple[str, str], failures: list[Happening]) -> Iterator[str]:
        failures.append(Failed(""))  # until it has come to its end
        batches = _noted(self.sessions.perform(load(self._wanted(given)), asker[0], address=asker[1]), failures)
        yield from streamed(batches, self.streams.keep(Stream()), ViewState(), fold_all)

    def _wanted(self, given: object) -> Request:
        """Raises BadInput, also where this instance takes no own models."""
        device = self.sessions.device
        if not device.takes_own:
            raise BadInput("This instance runs its own models only.")
        asked = given if isinstance(given, Mapping) else {}
        return request.parse_loading(device, asked.get("model"), {name: asked[name] for name in NAMES if name in asked})


def chosen(settings: object, given: Mapping[str, Any]) -> str:
    """A form's settings with the model that was loaded: how it is loaded again, and that it was."""
    try:
        before = json.loads(str(settings))
    except ValueError:
        before = {}
    kept = before if isinstance(before, dict) else {}
    return json.dumps({**kept, "loading": dict(given), "loaded": True})


def _noted(batches: Generator[list[Happening], None, None], failures: list[Happening]) -> Any:
    """The same batches; `failures` holds what failed in them."""
    with closing(batches):
        for batch in batches:
            yield batch
            failures += [happening for happening in batch if isinstance(happening, Failed)]
        del failures[0]
