"""Sessions as the store gets them, small and always the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import events
from engine.events import Candidate, Counts, Emitted, Event, Node, Prefilled, SessionFinished, SessionStarted, Stepped
from specviz.store import RunCopy, Store

FORMER = Path(__file__).with_name("store") / "former"
"""A database of each former schema, as SQL."""
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


def finished(reason: events.StopReason = "eos", message: str = "", decode_ns: int = 77) -> SessionFinished:
    return SessionFinished(reason, Counts(2, 4, 2, 4, 2), decode_ns, message)


def session(session_id: str = "a", num_steps: int = 2, *, decode_ns: int = 77, **fields: Any) -> list[Event]:
    steps = [stepped(step) for step in range(num_steps)]
    return [started(session_id, **fields), Prefilled(3, 1000, 3), *steps, finished(decode_ns=decode_ns)]


def copy_of(session_id: str = "a", decode_ns: int = 77, **fields: Any) -> RunCopy:
    """A session apart from any store."""
    return RunCopy(tuple(session(session_id, decode_ns=decode_ns, **fields)))


def save(store: Store, session_events: list[Event]) -> str:
    first, *others = session_events
    assert isinstance(first, SessionStarted)
    run = store.begin(first)
    for event in others:
        run.append(event)
    assert store.flush(), store.problem
    return run.run_id


TOP = (Candidate(21, " c", 0.7), Candidate(30, " z", 0.25))
NODES = (
    Node(10, " a", -1, "accepted", 0.9, 0.8),
    Node(11, " b", -1, "rejected", 0.05, 0.15),
    Node(20, " d", 0, "accepted", 0.6, 0.55),
    Node(21, " c", 0, "rejected", 0.35, 0.3),
    Node(30, " z", 2, "rejected", 0.25, 0.45),
    Node(40, " e", 4, "unreached", 0.125, 0.65),
)
EMITTED = (
    Emitted(10, " a", "accepted", 0, 0.9),
    Emitted(20, " d", "accepted", 2, 0.6),
    Emitted(30, "", "correction", None, 0.25, TOP),
)
STEP = Stepped(4, 9, NODES, (0, 2), EMITTED, 1_000_000, 20_000_000, 300_000, 4_000_000, 50_000, 12)
"""Two accepted nodes, a correction that had been drafted, four ghosts; no two numbers alike."""


def node(parent: int, status: str, target: float | None = 0.5, draft: float | None = 0.5, token: int = 1) -> Node:
    """One node of `tree_step`."""
    return Node(token, "w", parent, status, target, draft)  # type: ignore[arg-type]


def tree_step() -> Stepped:
    """Root: 0 (accepted), 1. Below 0: 2 (rejected), 3 (accepted, less likely). Below 3: 4 (rejected). Below 1: 5."""
    nodes = (
        node(-1, "accepted", 0.8, 0.6),
        node(-1, "rejected", 0.1, 0.3),
        node(0, "rejected", 0.2, 0.7),
        node(0, "accepted", 0.5, 0.2),
        node(3, "rejected", 0.25, 0.9),
        node(1, "unreached", 0.5, 0.4),
    )
    emitted = (Emitted(1, "a", "accepted", 0), Emitted(1, "b", "accepted", 3), Emitted(1, "c", "correction"))
    return Stepped(0, 9, nodes, (0, 3), emitted, 1_000_000, 2_000_000, 300_000, 40_000, 500_000, 12)


TEXT = "abcdefghijklmnopqrst"


def step(number: int, texts: str, ms: float, **fields: Any) -> Stepped:
    """One of plain tokens, a letter each, that took so long."""
    tokens = tuple(Emitted(ord(letter), letter, "plain") for letter in texts)
    laps = {"draft_ns": 0, "target_ns": int(ms * 1e6), "verify_ns": 0, "commit_ns": 0, "host_ns": 0}
    return replace(stepped(number), nodes=(), path=(), emitted=tokens, **(laps | fields))


def timed(step_ms: float, texts: str = TEXT, run_id: str = "a") -> list[Event]:
    """One token a step, each in the given time."""
    steps = [step(place, letter, step_ms) for place, letter in enumerate(texts)]
    return [started(run_id), *steps, finished()]
