"""Which runs a visitor wants to see listed, checked. Every value may come from anybody, not only from our page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, cast, get_args

from engine.errors import BadInput, UnknownName
from specviz.store import SORTS, Conditions, Origin, RunStatus, Sampling, Sort
from specviz.text import without_surrogates

NUM_ROWS = 50
MAX_TEXT_CHARS = 200
MAX_PAGE = 1_000_000
MAX_IDS = 200
MAX_ID_CHARS = 80
_TEXTS = ("search", "method", "model", "task", "tag", "group_id", "visitor", "viewer")
_WORDS: dict[str, tuple[str, ...]] = {
    "status": get_args(RunStatus),
    "sampling": get_args(Sampling),
    "origin": get_args(Origin),
}
_DAYS = ("since", "until")


@dataclass(frozen=True)
class Listing:
    """One page of the list."""

    conditions: Conditions
    sort: Sort = "when"
    is_descending: bool = True
    page: int = 0

    @property
    def offset(self) -> int:
        """Runs before this page."""
        return self.page * NUM_ROWS


def parse(given: object) -> Listing:
    """The listing in raw values from a page. Raises BadInput with a sentence to show."""
    row = mapping(given)
    conditions: dict[str, Any] = {name: text(row.get(name), name) for name in _TEXTS}
    conditions |= {name: _word(row.get(name), name) for name in _WORDS}
    conditions |= {name: _day(row.get(name), name) for name in _DAYS}
    sort, page = row.get("sort") or "when", row.get("page") or 0
    if sort not in SORTS:
        raise UnknownName("order", str(sort)[:40], SORTS)
    if type(page) is not int or not 0 <= page <= MAX_PAGE:
        raise BadInput("That page of the list does not exist.")
    kept = {name: value for name, value in conditions.items() if value}
    return Listing(cast(Conditions, kept), cast(Sort, sort), row.get("is_descending", True) is not False, page)


def mapping(given: object) -> Mapping[str, Any]:
    """A JSON object that the page sent as text. Raises BadInput."""
    try:
        row = json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError) as error:
        raise BadInput("What the page sent cannot be read; reload the page.") from error
    if not isinstance(row, dict):
        raise BadInput("What the page sent cannot be read; reload the page.")
    return row


def text(given: object, name: str, most_chars: int = MAX_TEXT_CHARS) -> str:
    """A short text. Raises BadInput."""
    if given is None:
        return ""
    if not isinstance(given, str) or len(given) > most_chars:
        raise BadInput(f"The {name} is longer than {most_chars:,} characters, or no text.")
    return without_surrogates(given).strip()


def run_id(given: object) -> str:
    """The id of one run. Raises BadInput."""
    if not isinstance(given, str) or not 0 < len(given) <= MAX_ID_CHARS:
        raise BadInput("That is not a run's id.")
    return without_surrogates(given)


def run_ids(given: object, most: int = MAX_IDS) -> list[str]:
    """Ids of runs, each once. Raises BadInput where there are none or too many."""
    if not isinstance(given, list) or not all(isinstance(run_id, str) for run_id in given):
        raise BadInput("Those are no runs' ids; reload the page.")
    found = list(dict.fromkeys(without_surrogates(run_id)[:MAX_TEXT_CHARS] for run_id in given if run_id))
    if not found:
        raise BadInput("Choose a run first.")
    if len(found) > most:
        raise BadInput(f"{len(found)} runs are chosen; this takes at most {most}.")
    return found


def _word(given: object, name: str) -> str:
    if not given:
        return ""
    if given not in _WORDS[name]:
        raise UnknownName(name, str(given)[:40], _WORDS[name])
    return str(given)


def _day(given: object, name: str) -> date | None:
    try:
        return date.fromisoformat(str(given)) if given else None
    except ValueError as error:
        raise BadInput(f"The day in {name!r} cannot be read; wanted a date such as 2026-01-31.") from error
