"""A view on its way to the browser: numbered deltas, or everything in one snapshot. ASCII JSON text.

A message is either `{alert}` alone or `{stream, seq, reset, snapshot, status, steps, tiles, figures, spoken}`. `seq`
grows by one; a browser that misses one asks for `snapshot`. Texts are data: the page sets them by textContent only.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from dataclasses import asdict
from typing import Any, Protocol, TypeVar

from engine.events import Emitted, Node, Stepped
from specviz.showing import tiles
from specviz.showing.fold import ViewState
from specviz.text import printable, to_wire, without_surrogates

TILES_EVERY_S = 0.3
MAX_GHOSTS = 24
"""Drafted tokens shown per step beside the accepted ones; the rest is counted."""
PENDING = {"preparing", "running"}
S = TypeVar("S", bound="Source")


class Stream:
    """One run on its way to one page."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self._seq = -1
        self._run: object = None
        self._steps: list[dict[str, Any]] = []
        self._elapsed_ms = 0.0
        self._drawn_at = 0.0
        self._state = ViewState()
        self._guard = threading.Lock()

    def delta(self, state: ViewState) -> str:
        """What is new since the last call."""
        with self._guard:
            has_moved = state.phase != self._state.phase or state.position != self._state.position
            is_reset, first = self._take(state)
            message = self._head(state) | {"reset": is_reset, "steps": self._steps[first:]}
            if is_reset or has_moved or time.monotonic() - self._drawn_at > TILES_EVERY_S:
                self._drawn_at = time.monotonic()
                message |= self._status(state) | self._figures(state)
            return to_wire(message)

    def snapshot(self, state: ViewState | None = None) -> str:
        """Everything, as of `state` or of the last call."""
        with self._guard:
            if state is not None:
                self._take(state)
            message = self._head(self._state) | self._status(self._state) | self._figures(self._state)
            message |= {"reset": self._run is not None, "snapshot": True, "steps": self._steps}
            if state is not None:
                message["spoken"] = without_surrogates(tiles.spoken_text(state))
            return to_wire(message)

    def _take(self, state: ViewState) -> tuple[bool, int]:
        """Encode the new steps. Returns whether another run is on screen, and the first new step's place."""
        self._seq += 1
        run = state.started
        is_reset = run is not self._run
        if is_reset:
            self._run, self._steps, self._elapsed_ms = run, [], 0.0
        first = len(self._steps)
        for step in state.steps[first:]:
            self._elapsed_ms += sum(_times_ms(step))
            self._steps.append(step_view(step, self._elapsed_ms))
        self._state = state
        return is_reset, first

    def _head(self, state: ViewState) -> dict[str, Any]:
        return {"stream": self.id, "seq": self._seq, "alert": without_surrogates(state.alert)}

    def _status(self, state: ViewState) -> dict[str, Any]:
        status = {
            "phase": state.phase,
            "text": without_surrogates(tiles.status_text(state)),
            "meta": without_surrogates(tiles.meta_text(state)),
            "session": state.started.session_id if state.started else "",
            "role": state.role,
            "isPending": state.phase in PENDING,
        }
        return {"status": status}

    def _figures(self, state: ViewState) -> dict[str, Any]:
        """Tiles and captions; nothing before a run's first event, so that the last run's stay on screen."""
        if state.started is None and self._seq > 0:
            return {}
        shown = [printable(asdict(tile)) for tile in tiles.tiles(state)]
        return {"tiles": shown, "figures": tiles.captions(state)}


class Source(Protocol):
    """Whatever can tell the whole of what it has sent."""

    @property
    def id(self) -> str:
        """By which a browser asks."""

    def snapshot(self) -> str:
        """Everything, as one message."""


class Streams:
    """The last few streams by id, for browsers that missed something."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._streams: OrderedDict[str, Source] = OrderedDict()
        self._guard = threading.Lock()

    def open(self) -> Stream:
        """A new stream of one run."""
        return self.keep(Stream())

    def keep(self, stream: S) -> S:
        """Remember a stream, in place of the oldest where there are too many."""
        with self._guard:
            self._streams[stream.id] = stream
            while len(self._streams) > self._most:
                self._streams.popitem(last=False)
        return stream

    def snapshot(self, stream_id: object) -> str:
        """The whole view of a stream; empty where it is not known (any more)."""
        with self._guard:
            stream = self._streams.get(stream_id) if isinstance(stream_id, str) else None
        return stream.snapshot() if stream is not None else ""


def alert(text: str) -> str:
    """A sentence for the page that changes nothing else on it."""
    return to_wire({"alert": without_surrogates(text), "nonce": uuid.uuid4().hex})


def step_view(step: Stepped, elapsed_ms: float) -> dict[str, Any]:
    """One step as the page draws it."""
    depths = _depths(step.nodes)
    ghosts = _ghosts(step, depths)
    maker = {"by": without_surrogates(step.proposed_by)} if step.proposed_by else {}
    return maker | {
        "n": step.step,
        "at": round(elapsed_ms, 3),
        "ms": [round(ms, 3) for ms in _times_ms(step)],
        "len": len(step.path),
        "k": [_token(token, step, depths, place) for place, token in enumerate(step.emitted)],
        "g": ghosts[:MAX_GHOSTS],
        "more": max(0, len(ghosts) - MAX_GHOSTS),
    }


def _times_ms(step: Stepped) -> tuple[float, float, float]:
    """Draft, target and host time, divided as in engine.metrics."""
    return step.draft_ns / 1e6, (step.target_ns + step.commit_ns) / 1e6, (step.verify_ns + step.host_ns) / 1e6


def _token(token: Emitted, step: Stepped, depths: list[int], place: int) -> dict[str, Any]:
    draft_prob = step.nodes[token.node].draft_prob if token.node is not None else _rejected_prob(token, step, place)
    view = {} if token.text else {"raw": _raw(token)}
    return view | {
        "t": without_surrogates(token.text),
        "id": token.token_id,
        "o": token.origin,
        "p": token.target_prob,
        "q": draft_prob,
        "d": depths[token.node] if token.node is not None else place + 1,
        "a": [[without_surrogates(c.text), c.token_id, c.probability] for c in token.alternatives],
    }


def _rejected_prob(token: Emitted, step: Stepped, place: int) -> float | None:
    """The drafter's probability of a target's token, where it had drafted that very token at this place."""
    parent = step.path[place - 1] if 0 < place <= len(step.path) else -1
    same = (node for node in step.nodes if node.parent == parent and node.token_id == token.token_id)
    return next((node.draft_prob for node in same), None)


def _raw(token: Emitted) -> str:
    """The own text of a token that adds none, such as the one that ends a text."""
    same = (candidate.text for candidate in token.alternatives if candidate.token_id == token.token_id)
    return without_surrogates(next(same, ""))


def _depths(nodes: tuple[Node, ...]) -> list[int]:
    """1 for a child of the root."""
    depths: list[int] = []
    for node in nodes:
        depths.append(1 if node.parent < 0 else depths[node.parent] + 1)
    return depths


def _ghosts(step: Stepped, depths: list[int]) -> list[dict[str, Any]]:
    """Drafted tokens that were not emitted, in reading order, each with its place: before which emitted token."""
    children: dict[int, list[int]] = {}
    for index, node in enumerate(step.nodes):
        children.setdefault(node.parent, []).append(index)
    found: list[dict[str, Any]] = []
    todo = [(index, 0) for index in reversed(children.get(-1, []))]
    while todo:
        index, place = todo.pop()
        is_kept = index in step.path
        if not is_kept:
            found.append(_ghost(step.nodes[index], depths[index], place))
        below = place + 1 if is_kept else place
        todo.extend((child, below) for child in reversed(children.get(index, [])))
    return sorted(found, key=lambda ghost: ghost["at"])


def _ghost(node: Node, depth: int, place: int) -> dict[str, Any]:
    return {
        "t": without_surrogates(node.text),
        "id": node.token_id,
        "s": node.status if node.status != "accepted" else "unreached",
        "p": node.target_prob,
        "q": node.draft_prob,
        "d": depth,
        "at": place,
    }
