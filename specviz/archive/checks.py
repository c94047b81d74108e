"""Whether values read from a file are what our records say: types, ranges, and the order of a session.

The engine trusts its own events; a file may come from anybody, and what passes here must replay in every view.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal

from engine.errors import BadInput
from engine.events import Event, Prefilled, SessionFinished, SessionStarted, Stepped
from specviz import times

MOST_INTEGER = 2**46
"""Nineteen hours in nanoseconds; the sum over a run's steps still fits a column of the store."""
MOST_NAME_CHARS = 200
_ID = re.compile(r"[A-Za-z0-9._-]{1,80}")
_NAMES = ("method", "guarantee", "model", "device", "dtype")
_SHARES = ("probability", "overlap", "draw", "residual_mass")
_NOISE = 1e-3
"""How far rounding may take a probability above 1."""

Check = Callable[[Any], str]
"""What is wrong with a value, or an empty text."""


def check_fields(record: Hashable, value: Any) -> None:
    """Raises BadInput where a JSON value is not this record."""
    problem = checker(record)(value)
    if problem:
        raise BadInput(problem)


@functools.cache
def checker(wanted: Any) -> Check:
    """The check for an annotated type of our events."""
    if dataclasses.is_dataclass(wanted):
        return _record_checker(wanted)
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is tuple:
        return _list_checker(checker(arguments[0]))
    if origin is Literal:
        return lambda value: "" if isinstance(value, str) and value in arguments else _not(f"one of {arguments}", value)
    if origin is types.UnionType:
        (kind,) = (checker(argument) for argument in arguments if argument is not type(None))
        return lambda value: "" if value is None else kind(value)
    return {int: _whole, float: _number, str: _text}.get(wanted, _object)


def check_session(events: Sequence[Event]) -> None:
    """Raises BadInput where a run's events do not follow each other as a session's do."""
    first = events[0]
    if not isinstance(first, SessionStarted):
        raise BadInput("A run begins with session_started.")
    _check_start(first)
    rest = [event for event in events[1:] if not isinstance(event, Prefilled)]
    if len(events) - 1 - len(rest) > 1 or (len(rest) < len(events) - 1 and not isinstance(events[1], Prefilled)):
        raise BadInput("A run has one prefilled event, right after session_started.")
    ends = [place for place, event in enumerate(rest) if isinstance(event, SessionFinished)]
    if ends not in ([], [len(rest) - 1]):
        raise BadInput("A run ends with session_finished; nothing comes behind it.")
    steps = [event for event in rest if isinstance(event, Stepped)]
    for place, step in enumerate(steps):
        if step.step != place:
            raise BadInput(f"Step {step.step} stands where step {place} should be.")
        _check_step(step)
    _check_end(events[-1], steps)


def _check_start(first: SessionStarted) -> None:
    if not _ID.fullmatch(first.session_id):
        raise BadInput("A session_id has 1 to 80 letters, digits, dots, dashes or underscores.")
    if not times.parsed(first.created_at):
        raise BadInput(f"created_at is {first.created_at[:40]!r}; wanted a time such as 2026-01-31T12:00:00+00:00.")
    for name in _NAMES:
        if not 0 < len(getattr(first, name)) <= MOST_NAME_CHARS:
            raise BadInput(f"{name} is empty or longer than {MOST_NAME_CHARS} characters.")


def _check_step(step: Stepped) -> None:
    for index, node in enumerate(step.nodes):
        if not -1 <= node.parent < index:
            raise BadInput(f"Step {step.step}: node {index} has parent {node.parent}; a parent comes before its child.")
    parents = (-1, *step.path)
    for parent, index in zip(parents, step.path, strict=False):
        if not (0 <= index < len(step.nodes) and step.nodes[index].parent == parent):
            raise BadInput(f"Step {step.step}: the accepted path is not a path of its tree.")
    for judged in step.judged:
        if not 0 <= judged.node < len(step.nodes):
            raise BadInput(f"Step {step.step}: node {judged.node} was judged, which is not there.")
    for token in step.emitted:
        if token.node is not None and not 0 <= token.node < len(step.nodes):
            raise BadInput(f"Step {step.step}: an emitted token names node {token.node}, which is not there.")
    if not step.emitted:
        raise BadInput(f"Step {step.step} emits nothing; every step emits at least one token.")


def _check_end(last: Event, steps: Sequence[Stepped]) -> None:
    if not isinstance(last, SessionFinished):
        return
    emitted = sum(len(step.emitted) for step in steps)
    if (last.counts.steps, last.counts.emitted) != (len(steps), emitted):
        raise BadInput(
            f"The end counts {last.counts.steps} steps and {last.counts.emitted} tokens; "
            f"there are {len(steps)} and {emitted}."
        )


def _record_checker(wanted: Any) -> Check:
    hints = typing.get_type_hints(wanted)
    checks = {name: checker(hint) for name, hint in hints.items()}
    ranges = {name: _range_of(name) for name in hints}
    needed = {
        field.name
        for field in dataclasses.fields(wanted)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }

    def check(value: Any) -> str:
        if not isinstance(value, dict):
            return _not("an object", value)
        if not value.keys() <= checks.keys():
            return f"unknown field {sorted(value.keys() - checks.keys())[0][:40]!r}"
        if not needed <= value.keys():
            return f"field {sorted(needed - value.keys())[0]} is missing"
        for name, item in value.items():
            problem = checks[name](item) or ranges[name](item)
            if problem:
                return f"{name}: {problem}"
        return ""

    return check


def _range_of(name: str) -> Check:
    """Counts and times are not negative; probabilities lie between 0 and 1."""
    if name.endswith("_prob") or name in _SHARES:
        return lambda value: "" if value is None or 0 <= value <= 1 + _NOISE else _not("a probability", value)
    if name == "parent":
        return lambda value: "" if value >= -1 else _not("a node", value)
    if name == "ratio":
        return lambda value: "" if value is None or value >= 0 else _not("zero or more", value)
    return lambda value: _not("zero or more", value) if type(value) is int and value < 0 else ""


def _list_checker(check: Check) -> Check:
    def check_all(value: Any) -> str:
        if not isinstance(value, list):
            return _not("a list", value)
        return next((problem for item in value if (problem := check(item))), "")

    return check_all


def _whole(value: Any) -> str:
    return "" if type(value) is int and abs(value) <= MOST_INTEGER else _not("a whole number", value)


def _number(value: Any) -> str:
    is_number = type(value) in (int, float) and abs(value) <= MOST_INTEGER and math.isfinite(value)
    return "" if is_number else _not("a number", value)


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else _not("text", value)


def _object(value: Any) -> str:
    """Settings: any JSON whose numbers are fit for the page."""
    return "" if isinstance(value, dict) and _is_plain(value) else _not("an object of plain values", value)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not isinstance(value, float) or math.isfinite(value)


def _not(wanted: str, value: Any) -> str:
    return f"wanted {wanted}, got {value!r:.40}"
