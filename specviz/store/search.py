"""Which runs a list shows, and in what order: conditions and sort keys as SQL for both databases.

Texts are searched by a plain scan of prompt, what was said before it, output and note. On 100,000 runs it answers in a
fraction of a second (docs/log.md), so that there is no text index to keep, and substrings of any language are found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Literal, TypedDict

import sqlalchemy
from sqlalchemy import Boolean, ColumnElement, Float, Text, func, literal, or_, select, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from specviz.store.exact import encode
from specviz.store.models import RUNS, TAGS
from specviz.store.tally import Origin, RunStatus

LONGEST_SEARCH = 1000  # SQLite refuses very long patterns
LISTED = "listed"
Sharing = Literal["listed", "private"]
"""Who finds a run in lists: everybody, or the browser that made it. Whoever knows its id opens it."""
Sampling = Literal["greedy", "sampled"]
Sort = Literal["when", "status", "method", "model", "task", "tokens", "speed", "efficiency", "acceptance"]
_SEARCHED = ("prompt", "text", "note", "said")
_SHORTEST_ID = 6  # fewer letters of a random id are part of many words
_EQUAL = ("method", "model", "task", "status", "origin", "group_id", "visitor")


class Conditions(TypedDict, total=False):
    """What runs must fulfil; an absent one, None or an empty text asks for nothing."""

    search: str | None
    """Looked for in prompt, system prompt and earlier turns, output and note, without regard to the case of a to z; or
    the beginning of an id."""
    method: str | None
    model: str | None
    task: str | None
    status: RunStatus | None
    origin: Origin | None
    group_id: str | None
    visitor: str | None
    """The browser that made it."""
    viewer: str | None
    """The browser whose own private runs are found too."""
    tag: str | None
    sampling: Sampling | None
    """greedy: temperature 0; sampled: above."""
    since: date | None
    """First day, UTC."""
    until: date | None
    """Last day, UTC, itself included."""


def is_shown(viewer: str | None) -> ColumnElement[bool]:
    """Whether a list may hold a run: one that everybody may see, or one that this browser made."""
    is_listed = RUNS.c.sharing == LISTED
    return or_(is_listed, RUNS.c.visitor == viewer) if viewer else is_listed


def clauses(conditions: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """The conditions, that the run was not deleted, and that it is to be seen."""
    given = {name: value for name, value in conditions.items() if value}
    found: list[ColumnElement[bool]] = [RUNS.c.deleted_at == "", is_shown(given.get("viewer"))]
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
    """ORDER BY; runs without the figure come last, equal ones last added first."""
    newest = [RUNS.c.added_at.desc(), RUNS.c.id.desc()]
    if sort == "when":
        return newest if is_descending else [RUNS.c.added_at.asc(), RUNS.c.id.asc()]
    key = _KEYS[sort]
    return [(key.desc() if is_descending else key.asc()).nulls_last(), *newest]


class _Contains(FunctionElement[bool]):
    """Whether a text fits a pattern, whatever the case of a to z. SQLite's LIKE needs no folding of the text first."""

    type = Boolean()
    inherit_cache = True


@compiles(_Contains)
def _like(element: _Contains, compiler: SQLCompiler, **given: Any) -> str:
    text, pattern = (compiler.process(clause, **given) for clause in element.clauses)
    return f"{text} {'ILIKE' if compiler.dialect.name == 'postgresql' else 'LIKE'} {pattern} ESCAPE '/'"


def _has_text(search: str) -> ColumnElement[bool]:
    wanted = re.sub("[/%_]", r"/\g<0>", encode(search)[:LONGEST_SEARCH])
    columns = [type_coerce(RUNS.c[name], Text) for name in _SEARCHED]  # the pattern is encoded already
    found: list[ColumnElement[bool]] = [_Contains(column, literal(f"%{wanted}%", Text)) for column in columns]
    if len(search) >= _SHORTEST_ID:
        found.append(_Contains(type_coerce(RUNS.c.id, Text), literal(f"{wanted}%", Text)))
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
