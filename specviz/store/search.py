"""Which runs a list shows, and in what order: conditions and sort keys as SQL for both databases.

Texts are searched by a plain scan of prompt, output and note. On 100,000 runs it answers in a fraction of a second
(docs/log.md), so that there is no text index to keep, and substrings of any language are found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Literal, TypedDict

import sqlalchemy
from sqlalchemy import ColumnElement, Float, Text, func, or_, select, type_coerce

from specviz.store.exact import encode
from specviz.store.models import RUNS, TAGS
from specviz.store.tally import RunStatus

LONGEST_SEARCH = 1000  # SQLite refuses very long patterns
Sampling = Literal["greedy", "sampled"]
Sort = Literal["when", "status", "method", "model", "task", "tokens", "speed", "efficiency", "acceptance"]
_SEARCHED = ("prompt", "text", "note")
_SHORTEST_ID = 6  # fewer letters of a random id are part of many words
_EQUAL = ("method", "model", "task", "status", "group_id")


class Conditions(TypedDict, total=False):
    """What runs must fulfil; an absent one, None or an empty text asks for nothing."""

    search: str | None
    """Looked for in prompt, output and note, without regard to the case of a to z; or the beginning of an id."""
    method: str | None
    model: str | None
    task: str | None
    status: RunStatus | None
    group_id: str | None
    tag: str | None
    sampling: Sampling | None
    """greedy: temperature 0; sampled: above."""
    since: date | None
    """First day, UTC."""
    until: date | None
    """Last day, UTC, itself included."""


def clauses(conditions: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """The conditions, and that the run was not deleted."""
    given = {name: value for name, value in conditions.items() if value}
    found: list[ColumnElement[bool]] = [RUNS.c.deleted_at == ""]
    found += [RUNS.c[name] == given[name] for name in _EQUAL if name in given]
    if "tag" in given:
        found.append(RUNS.c.id.in_(select(TAGS.c.run_id).where(TAGS.c.name == given["tag"])))
    if "sampling" in given:
        found.append(RUNS.c.temperature == 0 if given["sampling"] == "greedy" else RUNS.c.temperature > 0)
    if "since" in given:
        found.append(RUNS.c.created_at >= given["since"].isoformat())
    if "until" in given and given["until"] < date.max:
        found.append(RUNS.c.created_at < (given["until"] + timedelta(days=1)).isoformat())
    if "search" in given:
        found.append(_has_text(given["search"]))
    return found


def order(sort: Sort, is_descending: bool) -> Sequence[ColumnElement[Any]]:
    """ORDER BY; runs without the figure come last, equal ones newest first."""
    newest = [RUNS.c.created_at.desc(), RUNS.c.id.desc()]
    if sort == "when":
        return newest if is_descending else [RUNS.c.created_at.asc(), RUNS.c.id.asc()]
    key = _KEYS[sort]
    return [(key.desc() if is_descending else key.asc()).nulls_last(), *newest]


def _has_text(search: str) -> ColumnElement[bool]:
    pattern = encode(search)[:LONGEST_SEARCH]
    columns = [type_coerce(RUNS.c[name], Text) for name in _SEARCHED]  # the pattern is encoded already
    found = [column.icontains(pattern, autoescape=True) for column in columns]
    if len(pattern) >= _SHORTEST_ID:
        found.append(type_coerce(RUNS.c.id, Text).startswith(pattern, autoescape=True))
    return or_(*found)


def _quotient(above: str, below: str) -> ColumnElement[Any]:
    """Only to sort by; what is shown is computed by engine.metrics."""
    return sqlalchemy.cast(RUNS.c[above], Float) / func.nullif(RUNS.c[below], 0)


_KEYS: dict[str, ColumnElement[Any]] = {
    **{name: RUNS.c[name] for name in ("status", "method", "model", "task")},
    "tokens": RUNS.c.emitted,
    "speed": _quotient("emitted", "decode_ns"),
    "efficiency": _quotient("emitted", "steps"),
    "acceptance": _quotient("accepted", "proposed"),
}
SORTS: tuple[str, ...] = ("when", *_KEYS)
