"""Sessions as the store gets them, small and always the same."""

from __future__ import annotations

from typing import Any

from engine import events
from engine.events import Candidate, Counts, Emitted, Event, Node, Prefilled, SessionFinished, SessionStarted, Stepped
from specviz.store import Store

HOSTILE = (
    "NUL \x00, DLE \x10, like an escape \x100000, half \ud83d, pair \ud83d\ude00, 😀, "
    "RTL \u202e\u200f, 'quote\" \\u0000 %_"
)


def started(session_id: str = "a", created_at: str = "2026-01-01T00:00:00+00:00", **fields: Any) -> SessionStarted:
    given = {
        "prompt": "Once upon a time",
        "prompt_ids": (1, 2, 3, 4),
        "method": "draft_model",
        "method_options": {"depth": 4},
        "guarantee": "exact",
        "model": "story-target",
        "device": "cpu",
        "dtype": "bfloat16",
        "config": {"temperature": 0.5, "seed": 7, "max_new_tokens": 20, "stop_strings": []},
        "machine": {"processor": "x86", "threads": 2},
    }
    return SessionStarted(session_id=session_id, created_at=created_at, **(given | fields))


def stepped(step: int = 0, text: str = " there") -> Stepped:
    return Stepped(
        step=step,
        root_id=4,
        nodes=(Node(5, " there", -1, "accepted", 0.9, 0.8), Node(6, " was", 0, "rejected", 0.1, None)),
        path=(0,),
        emitted=(
            Emitted(5, text, "accepted", 0, 0.9, (Candidate(5, " there", 0.9), Candidate(6, " was", 0.1))),
            Emitted(7, " lived", "correction"),
        ),
        draft_ns=1,
        target_ns=20,
        verify_ns=3,
        commit_ns=4,
        host_ns=5,
        kv_length=6 + step,
    )


def finished(reason: events.StopReason = "eos", message: str = "") -> SessionFinished:
    return SessionFinished(reason, Counts(2, 4, 2, 4, 2), 77, message)


def session(session_id: str = "a", num_steps: int = 2, **fields: Any) -> list[Event]:
    steps = [stepped(step) for step in range(num_steps)]
    return [started(session_id, **fields), Prefilled(3, 1000, 3), *steps, finished()]


def save(store: Store, session_events: list[Event]) -> str:
    first, *others = session_events
    assert isinstance(first, SessionStarted)
    run = store.begin(first)
    for event in others:
        run.append(event)
    assert store.flush(), store.problem
    return run.run_id
