"""Scripted devices that do one thing otherwise: remember, read a clock, write hostile text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scripted import ScriptedDevice, ScriptedVerdict

from engine.events import Event, SessionFinished, SessionStarted
from specviz.decoding.device import Request

HOSTILE = (
    '<img src=x onerror="window.hacked=1">',
    "${Object.assign(window,{hacked:2})}",
    '<a href="https://example.com/">link</a>',
    "\u202eright to left\u202c",
    "lone \ud800 surrogate",
    "<script>window.hacked=3</script>",
    "{{value}}",
)


@dataclass
class Watched(ScriptedDevice):
    """Remembers with what it was asked to decode, and says of which runs a verdict is."""

    asked_for: list[tuple[Request, str]] = field(default_factory=list)
    reason: Any = "length"
    cut: str = ""

    def generate(self, request: Request, session_id: str, *rest: Any) -> Iterator[Event]:
        self.asked_for.append((request, session_id))
        for event in super().generate(request, session_id, *rest):
            is_cut = isinstance(event, SessionFinished) and request.method == self.cut
            yield replace(event, reason=self.reason) if is_cut else event  # type: ignore[type-var]

    def audit(self, request: Request, plain: Any, events: Any) -> ScriptedVerdict:
        return ScriptedVerdict(f"{plain[0].method} {events[0].method_options.get('depth')}", 1)


@dataclass
class ClockedDevice(ScriptedDevice):
    """Its chat template holds a clock: a prompt that is encoded anew is another one."""

    ticks: int = 0

    def generate(
        self,
        request: Request,
        session_id: str,
        should_stop: Callable[[], bool],
        prompt_ids: Sequence[int] | None = None,
    ) -> Iterator[Event]:
        if prompt_ids is None:
            self.ticks += 1
            prompt_ids = (self.ticks,)
        first, *rest = super().generate(request, session_id, should_stop)
        assert isinstance(first, SessionStarted)
        yield replace(first, prompt_ids=tuple(prompt_ids))
        yield from rest


def hostile_device() -> ScriptedDevice:
    """Writes nothing but text that would like to be markup."""
    return replace(ScriptedDevice(), words=HOSTILE)
