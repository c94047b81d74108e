"""What happens in a session, as immutable records.

Live view, replay, storage, export and tests all fold this one stream:
`SessionStarted, Prefilled, Stepped…, SessionFinished`. Every record survives a JSON round trip.
Counts and nanoseconds are recorded; ratios are computed when read (metrics.py).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from engine.errors import BadInput

SCHEMA_VERSION = 2
READABLE = (1, SCHEMA_VERSION)
"""Version 1 had no `Judged`; its records are read as ones of this version that judged nothing."""

Origin = Literal["accepted", "correction", "bonus", "plain"]
Status = Literal["accepted", "rejected", "unreached"]
StopReason = Literal["eos", "length", "stop_string", "context", "timeout", "stopped", "failed"]


@dataclass(frozen=True)
class SessionStarted:
    """A prompt with its settings, before any work."""

    session_id: str
    created_at: str
    """UTC, ISO 8601."""
    prompt: str
    prompt_ids: tuple[int, ...]
    method: str
    method_options: dict[str, Any]
    guarantee: str
    """"exact" or "lossy"."""
    model: str
    device: str
    dtype: str
    config: dict[str, Any]
    machine: dict[str, Any]
    """Processor, threads, library versions, commit."""
    schema_version: int = SCHEMA_VERSION
    kind: str = "session_started"


@dataclass(frozen=True)
class Prefilled:
    """The prompt is in the KV cache, all but its last token (the first root)."""

    num_prompt_tokens: int
    prefill_ns: int
    """Target's and drafter's work on the prompt."""
    kv_length: int
    kind: str = "prefilled"


@dataclass(frozen=True)
class Candidate:
    """A token with its probability under the warped target distribution."""

    token_id: int
    text: str
    probability: float


@dataclass(frozen=True)
class Node:
    """One proposed token of a draft tree."""

    token_id: int
    text: str
    parent: int
    """Index of the parent node; -1 is the root."""
    status: Status
    target_prob: float | None = None
    """Of this token at its parent, after temperature, top-k, top-p and penalty."""
    draft_prob: float | None = None
    """The drafter's own probability; None where it states none."""


@dataclass(frozen=True)
class Emitted:
    """One token of the output."""

    token_id: int
    text: str
    """What this token adds to the text; empty inside an unfinished character."""
    origin: Origin
    node: int | None = None
    """Index of the accepted node; None for correction, bonus and plain tokens."""
    target_prob: float | None = None
    alternatives: tuple[Candidate, ...] = ()
    """The target's five likeliest tokens at this place."""


@dataclass(frozen=True)
class Judged:
    """One draw, by a rule that weighs what it was from, q, against what is left of the target's distribution, p.

    A node that was drawn several times is judged as often.
    """

    node: int
    overlap: float | None = None
    """Sum of min(p, q): how likely such a draw is to be accepted."""
    ratio: float | None = None
    """p / q of the node's token: accepted with this probability, if it is below 1."""
    draw: float | None = None
    """The number drawn from 0 … 1; below the ratio, the node is accepted."""
    residual_mass: float | None = None
    """Share of the target's distribution that neither this draw nor its earlier siblings can have covered; where a
    chain's tokens are judged together, of what is to hold of the part before this one."""
    chance: float | None = None
    """Under a rule that judges a chain's tokens together: how likely the chain as far as this node was to hold."""


@dataclass(frozen=True)
class Weighed:
    """A token under both distributions of a place."""

    token_id: int
    text: str
    target_prob: float | None
    draft_prob: float


@dataclass(frozen=True)
class DraftedFrom:
    """What the first draft below a node was drawn from: the tokens that drafter or target finds likeliest there."""

    parent: int
    """Index of the node, one of the path; -1 is the root."""
    tokens: tuple[Weighed, ...]


@dataclass(frozen=True)
class Stepped:
    """One step: propose, one target pass, verify, commit."""

    step: int
    root_id: int
    nodes: tuple[Node, ...]
    path: tuple[int, ...]
    """Accepted node indices, from the root down."""
    emitted: tuple[Emitted, ...]
    draft_ns: int
    target_ns: int
    verify_ns: int
    commit_ns: int
    host_ns: int
    """Everything else of the step: text, events, drafter's observe and the loop itself."""
    kv_length: int
    proposed_by: str | None = None
    """The method that the nodes come from, in a session that has two of them."""
    judged: tuple[Judged, ...] = ()
    """The draws that were examined, in their order; empty without detail, and by rules that weigh none."""
    drafted_from: tuple[DraftedFrom, ...] = ()
    """Where drafts were drawn along the path; empty without detail, and where a drafter states no distributions."""
    kind: str = "stepped"


@dataclass(frozen=True)
class Counts:
    """Totals over the steps of a session."""

    steps: int = 0
    proposed: int = 0
    accepted: int = 0
    emitted: int = 0
    target_passes: int = 0


@dataclass(frozen=True)
class Memory:
    """What a session held at its end, in bytes of arrays and tensors; what two of them share counts for the first."""

    target: int
    """Weights, in every form that passes read them in."""
    drafter: int
    """Weights, tables and caches of its own."""
    kv: int
    """The target's KV cache, with the room that it keeps for more tokens."""


@dataclass(frozen=True)
class SessionFinished:
    """The end and its reason. `message` says more where the reason is `failed`."""

    reason: StopReason
    counts: Counts
    decode_ns: int
    """Time inside the steps; what a consumer does between two events is not counted."""
    message: str = ""
    memory: Memory | None = None
    """None where nobody counted it, as in records of former versions."""
    kind: str = "session_finished"


Event = SessionStarted | Prefilled | Stepped | SessionFinished
_SCALARS = {int, float, str, bool, type(None)}
_KINDS: dict[str, type[Any]] = {
    "session_started": SessionStarted,
    "prefilled": Prefilled,
    "stepped": Stepped,
    "session_finished": SessionFinished,
}


def to_dict(event: Event) -> dict[str, Any]:
    """Plain JSON values."""
    plain: dict[str, Any] = _plain(event)
    return plain


def _plain(value: Any) -> Any:
    """As `dataclasses.asdict`, several times as fast: nothing is copied that is plain already."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: item if type(item) in _SCALARS else _plain(item) for name, item in vars(value).items()}
    return value


def to_json(event: Event) -> str:
    """One line of strict JSON; no event of ours holds a number that is not finite."""
    return json.dumps(to_dict(event), ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def from_json(line: str) -> Event:
    """The event of one JSON line. Raises BadInput where it is none of ours.

    Runs that former versions stored may hold NaN where a model's scores broke: no probability is known there.
    """
    try:
        return from_dict(json.loads(line, parse_constant=lambda _: None))
    except json.JSONDecodeError as error:
        raise BadInput(f"This line is not JSON: {line[:60]!r}.") from error


def from_dict(row: dict[str, Any]) -> Event:
    """The event of plain JSON values. Raises BadInput for an unknown kind, version or field."""
    kind = row.get("kind") if isinstance(row, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise BadInput(f"Unknown event kind {kind!r:.60}; there are: {', '.join(_KINDS)}.")
    if row.get("schema_version", SCHEMA_VERSION) not in READABLE:
        known = " and ".join(map(str, READABLE))
        raise BadInput(f"Event schema version {row['schema_version']!r:.60}; this program reads {known}.")
    if "schema_version" in row:
        row = {**row, "schema_version": SCHEMA_VERSION}
    try:
        return typing.cast(Event, _build(_KINDS[kind], row))
    except (TypeError, ValueError, KeyError) as error:
        raise BadInput(f"A {kind} event has wrong or missing fields: {error}.") from error


def _build(wanted: Any, value: Any) -> Any:
    """`value` (plain JSON) as the annotated type."""
    convert = _converter(wanted)
    return value if convert is None else convert(value)


@functools.cache
def _converter(wanted: Any) -> Callable[[Any], Any] | None:
    """How to rebuild a value of this type; None where JSON's own value will do."""
    if dataclasses.is_dataclass(wanted):
        return _dataclass_converter(wanted)
    origin, args = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is types.UnionType:
        known = _converter(next(arg for arg in args if arg is not type(None)))
        return None if known is None else lambda value: None if value is None else known(value)
    if origin is tuple:
        item = _converter(args[0])
        return tuple if item is None else lambda values: tuple(map(item, values))
    return None


def _dataclass_converter(wanted: Any) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(wanted)
    converters = {name: found for name, hint in hints.items() if (found := _converter(hint)) is not None}

    def convert(row: dict[str, Any]) -> Any:
        if not isinstance(row, dict):
            raise ValueError(f"wanted an object for {wanted.__name__}, got {row!r:.40}")
        if not row.keys() <= hints.keys():
            raise ValueError(f"unknown field {sorted(row.keys() - hints.keys())[0]}")
        return wanted(**{name: converters[name](v) if name in converters else v for name, v in row.items()})

    return convert
