"""The row of a run, folded from its events. Counts and nanoseconds only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from engine.conversation import messages_of
from engine.errors import BadInput
from engine.events import Event, Prefilled, SessionFinished, SessionStarted, Stepped, StopReason
from engine.metrics import acceptance
from specviz.store import owner
from specviz.store.exact import to_json
from specviz.times import as_utc

RunStatus = Literal["running", "finished", "stopped", "failed", "interrupted"]
Origin = Literal["measured", "imported", "unknown"]
"""Measured here, by this database's own program; brought in a file; added before this was written down."""

_STATUS: dict[StopReason, RunStatus] = {
    "eos": "finished",
    "length": "finished",
    "stop_string": "finished",
    "context": "finished",
    "timeout": "stopped",
    "stopped": "stopped",
    "failed": "failed",
}
_DICTS = ("method_options", "config", "machine")
_FIXED = ("method", "guarantee", "model", "device", "dtype", "prompt", *_DICTS)
_TIMES = ("draft_ns", "target_ns", "verify_ns", "commit_ns", "host_ns")
_COUNTS = ("steps", "proposed", "accepted", "emitted", "target_passes")
_MOST_INTEGER = 2**63 - 1
INTERRUPTED = "The program ended before the run did."


class Tally:
    """What is known of one run, and which of its events are not yet in the database."""

    def __init__(self, started: SessionStarted, group_id: str | None, owner_name: str, task: str = "") -> None:
        self.run_id = started.session_id
        self.steps: list[dict[str, Any]] = []
        """Rows of the table `steps` that wait to be written."""
        self._seq = 0
        self._text: list[str] = []
        self._lengths: list[int] = []
        self._fixed = _fixed_columns(started, group_id, owner_name) | {"task": task}
        self._status: RunStatus = "running"
        self._changing: dict[str, Any] = {"reason": None, "message": "", "prefill_ns": None, "decode_ns": None}
        self._changing |= dict.fromkeys(_COUNTS + _TIMES, 0)
        self._changing["num_prompt_tokens"] = len(started.prompt_ids)
        self.add(started)

    @property
    def is_running(self) -> bool:
        """Whether more events may come."""
        return self._status == "running"

    @property
    def in_words(self) -> str:
        """For the log: how it stands, nothing of its text."""
        told = self._changing
        return f"{self._status}, {told['emitted']} tokens in {told['steps']} steps of {self._fixed['method']}"

    def add(self, event: Event) -> None:
        """Take in one event. Raises TypeError or ValueError where it is not fit for JSON."""
        self.steps.append({"run_id": self.run_id, "seq": self._seq, "payload": to_json(event)})
        self._seq += 1
        if isinstance(event, Stepped):
            self._add_step(event)
        elif isinstance(event, Prefilled):
            self._changing |= {"num_prompt_tokens": event.num_prompt_tokens, "prefill_ns": event.prefill_ns}
        elif isinstance(event, SessionFinished):
            self._finish(event)

    def interrupt(self) -> None:
        """End the run without its last event."""
        if self.is_running:
            self._status = "interrupted"
            self._changing["message"] = INTERRUPTED

    def changing_columns(self) -> dict[str, Any]:
        """What grows while the run goes on. The status too: it heals a wrong guess that we had died."""
        text = "".join(self._text)
        self._text = [text]
        told = {"acceptance_histogram": list(self._lengths), "text": text}
        return {**self._changing, **told, "status": self._status, "heartbeat_at": owner.now()}

    def all_columns(self) -> dict[str, Any]:
        """The whole row."""
        return {**self._fixed, **self.changing_columns()}

    def _add_step(self, event: Stepped) -> None:
        added = (1, len(event.nodes), len(event.path), len(event.emitted), 1)
        for name, count in zip(_COUNTS, added, strict=True):
            self._changing[name] += count
        for name in _TIMES:
            self._changing[name] += getattr(event, name)
        found = acceptance((event,)).acceptance_histogram
        self._lengths += [0] * (len(found) - len(self._lengths))
        for length, count in enumerate(found):
            self._lengths[length] += count
        self._text += [token.text for token in event.emitted]

    def _finish(self, event: SessionFinished) -> None:
        self._status = _STATUS[event.reason]
        self._changing |= {"reason": event.reason, "message": event.message, "decode_ns": event.decode_ns}
        self._changing |= {name: getattr(event.counts, name) for name in _COUNTS}  # the engine's own word


def _fixed_columns(started: SessionStarted, group_id: str | None, owner_name: str) -> dict[str, Any]:
    settings = started.config
    return {
        "id": started.session_id,
        **{name: getattr(started, name) for name in _FIXED},
        "created_at": as_utc(started.created_at),
        "added_at": as_utc(started.created_at),
        "origin": "measured",
        "said": said_before(settings),
        "temperature": _number(settings.get("temperature"), float),
        "seed": _number(settings.get("seed"), int),
        "max_new_tokens": _number(settings.get("max_new_tokens"), int),
        "group_id": group_id,
        "owner": owner_name,
    }


def said_before(settings: Mapping[str, Any]) -> str:
    """System prompt and earlier turns of recorded settings, to be searched; nothing where a file tells nonsense."""
    try:
        return "\n".join(content for _, content in messages_of(settings.get("messages", ())))
    except BadInput:
        return ""


def _number(value: Any, wanted: type[int] | type[float]) -> int | float | None:
    """`value` as a column to filter by; None where a config has no such number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _MOST_INTEGER:
        return None
    return wanted(value) if value == value else None  # not-a-number differs from itself
