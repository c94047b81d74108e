"""The page over a scripted device, for the browser tests. A prompt "drop …" loses every third message and the last."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator
from dataclasses import replace

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from scripted import HOSTILE, ScriptedDevice, hostile_device

from engine.errors import RunFailed
from engine.events import Event
from specviz import ui
from specviz.device import Method
from specviz.pages.playground import Playground
from specviz.session import Sessions
from specviz.store import open_store

BROKEN_AT = 12
"""Past the warm-up of a race."""


class Slow(ScriptedDevice):
    """Takes its time, so that a run is many messages; has a method that breaks in the middle."""

    def methods(self) -> tuple[Method, ...]:
        plain, drafts = super().methods()
        return plain, replace(drafts, name="broken", title="<b>Breaks</b>"), drafts

    def generate(self, *given: object) -> Generator[Event, None, None]:  # type: ignore[override]
        for place, event in enumerate(super().generate(*given)):  # type: ignore[arg-type]
            time.sleep(0.02)
            if given[1] == "broken" and place == BROKEN_AT:
                raise RunFailed("It broke: " + HOSTILE[0])
            yield event


def dropping(self: Playground, prompt: object, *rest: object) -> Generator[str, None, None]:
    """Messages with gaps."""
    messages = complete(self, prompt, *rest)  # type: ignore[arg-type]
    if not str(prompt).startswith("drop"):
        yield from messages
        return
    for place, text in enumerate(held_back(messages)):
        if place % 3 != 1:
            yield text


def held_back(messages: Generator[str, None, None]) -> Generator[str, None, None]:
    """All but the last one."""
    before: str | None = None
    for text in messages:
        if before is not None:
            yield before
        before = text


complete = Playground.messages
Playground.messages = dropping  # type: ignore[method-assign, assignment]
store = open_store(":memory:")
device = Slow(words=hostile_device().words)
page = ui.build(Sessions(device, store), store)
page.launch(server_name="127.0.0.1", server_port=int(sys.argv[2]), quiet=True, **ui.launch_options())
