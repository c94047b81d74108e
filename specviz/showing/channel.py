"""A folded state on its way to one page: numbered deltas, or everything in one snapshot. ASCII JSON text.

`seq` grows by one; a browser that misses one asks for `snapshot`. What a message says beside that, its kind decides.
"""

from __future__ import annotations

import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from specviz.text import printable, to_wire

DRAWN_EVERY_S = 0.3
"""Steps go at once, figures as often as this or when something has moved."""


class Alerting(Protocol):
    """A state that may have something to say."""

    @property
    def alert(self) -> str:
        """A sentence that the visitor must know."""


S = TypeVar("S", bound=Alerting)
C = TypeVar("C", bound="Channel[Any]")


class Channel(ABC, Generic[S]):
    """One run, or one race, on its way to one page."""

    steps_key: ClassVar[str]
    """Under which a message holds its steps, whose texts are fit for the wire."""

    def __init__(self, state: S) -> None:
        self.id = uuid.uuid4().hex
        self._seq = -1
        self._state = state
        self._drawn_at = 0.0
        self._guard = threading.Lock()

    def delta(self, state: S) -> str:
        """What is new since the last call."""
        with self._guard:
            before = self._state
            is_reset, steps = self._advance(state)
            has_moved = is_reset or self._outline(state) != self._outline(before)
            message = {"reset": is_reset} | self._between(before)
            if has_moved or time.monotonic() - self._drawn_at > DRAWN_EVERY_S:
                self._drawn_at = time.monotonic()
                message |= self._figures()
            return self._written(message, steps)

    def snapshot(self, state: S | None = None, *, is_offer: bool = False) -> str:
        """Everything, as of `state` or of the last call. An offer is shown where nothing is yet."""
        with self._guard:
            if state is not None:
                self._advance(state)
            message = {"snapshot": True} | self._figures() | self._whole(is_last=state is not None)
            message |= {"isOffer": True} if is_offer else {}
            return self._written(message, self._all_steps())

    def _advance(self, state: S) -> tuple[bool, list[Any]]:
        self._seq += 1
        new = self._take(state)
        self._state = state
        return new

    def _written(self, message: dict[str, Any], steps: list[Any]) -> str:
        head = {"stream": self.id, "seq": self._seq, "alert": self._state.alert}
        return to_wire(printable(head | message) | {self.steps_key: steps})

    @abstractmethod
    def _outline(self, state: S) -> object:
        """Changes where the page should be drawn at once."""

    @abstractmethod
    def _take(self, state: S) -> tuple[bool, list[Any]]:
        """Encode the new steps. Returns whether something else is on screen now, and what is new."""

    @abstractmethod
    def _all_steps(self) -> list[Any]:
        """All that was encoded of what is on screen."""

    @abstractmethod
    def _figures(self) -> dict[str, Any]:
        """What is drawn now and then."""

    @abstractmethod
    def _whole(self, *, is_last: bool) -> dict[str, Any]:
        """What a snapshot alone says; `is_last` where nothing comes behind it."""

    def _between(self, before: S) -> dict[str, Any]:
        """What is drawn because of what has happened since `before`."""
        return {}


class Streams:
    """The last few channels by id, for browsers that missed something."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._streams: OrderedDict[str, Channel[Any]] = OrderedDict()
        self._guard = threading.Lock()

    def keep(self, stream: C) -> C:
        """Remember a channel, in place of the oldest where there are too many."""
        with self._guard:
            self._streams[stream.id] = stream
            while len(self._streams) > self._most:
                self._streams.popitem(last=False)
        return stream

    def snapshot(self, stream_id: object) -> str:
        """The whole view of a channel; empty where it is not known (any more)."""
        with self._guard:
            stream = self._streams.get(stream_id) if isinstance(stream_id, str) else None
        return stream.snapshot() if stream is not None else ""


def alert(text: str) -> str:
    """A sentence for the page that changes nothing else on it."""
    return to_wire(printable({"alert": text, "nonce": uuid.uuid4().hex}))
