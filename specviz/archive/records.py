"""What a line of a file may hold, as pydantic models: every field of our records with its type, range and size.

The models of events are made of the engine's own dataclasses, so that a new field is read as soon as it is written;
a file may come from anybody, and what passes here fits the store's columns and every view.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, InstanceOf, ValidationError, create_model

from engine.errors import BadInput

MOST_INTEGER = 2**46
"""Nineteen hours in nanoseconds; the sum over a run's steps still fits a column of the store."""
MOST_NODES = 2_000
"""Of one step. The largest trees that methods draft have some hundred; a browser draws no more in seconds."""
MOST_NAME_CHARS = 200
MOST_TAGS = 20
MOST_TAG_CHARS = 40
MOST_NOTE_CHARS = 4_000
_MOST_CHARS = {"prompt": 4_000_000, "message": 10_000, "text": 10_000}
_MOST_ITEMS = {"prompt_ids": 2**20, "emitted": MOST_NODES + 1, "alternatives": 100, "judged": 2 * MOST_NODES}
_MOST_ITEMS |= {"drafted_from": MOST_NODES + 1, "tokens": 100}
_MOST_VALUES, _MOST_DEPTH = 10_000, 20
"""Of an object of settings: values in all, and objects inside each other."""
_SHARES = ("probability", "overlap", "draw", "residual_mass", "chance")
_NOISE = 1e-3
"""How far rounding may take a probability above 1."""
_Text = InstanceOf[str]
"""Any text of Python's, half a surrogate pair among it, which pydantic's own kind of text refuses."""
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_WANTED = {
    "is_instance_of": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "list_type": "a list",
    "dict_type": "an object of plain values",
    "model_type": "an object",
    "too_long": "at most {max_length:,} {unit}",
    "greater_than_equal": "{ge:g} or more",
    "greater_than": "a number above {gt:g}",
    "bool_type": "true or false",
    "less_than_equal": "at most {le:g}",
    "literal_error": "one of {expected}",
    "value_error": "{error}",
}


_Model = TypeVar("_Model", bound=BaseModel)


def checked(wanted: type[_Model], value: object) -> _Model:
    """A JSON value as this model. Raises BadInput with the first thing that is wrong with it."""
    try:
        return wanted.model_validate(value)
    except ValidationError as error:
        raise BadInput(_sentence(error)) from error


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    *above, name = first["loc"] or ("it",)
    if first["type"] == "missing":
        return f"field {name} is missing"
    if first["type"] == "extra_forbidden":
        return f"unknown field {str(name)[:40]!r}"
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in (*above, name)).lstrip(".")
    unit = "characters" if isinstance(first["input"], str) else "of them"
    wanted = _WANTED.get(first["type"], first["msg"]).format(unit=unit, **first.get("ctx", {}))
    return f"{where[:80]}: wanted {wanted}, got {first['input']!r:.40}"


@functools.cache
def model_of(record: Any) -> type[BaseModel]:
    """The model of one of the engine's records."""
    hints = typing.get_type_hints(record)
    made: dict[str, Any] = {
        field.name: (_form(hints[field.name], field.name), _default(field)) for field in dataclasses.fields(record)
    }
    return create_model(record.__name__, __config__=_STRICT, **made)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return ... if field.default_factory is dataclasses.MISSING else Field(default_factory=field.default_factory)


def _form(hint: Any, name: str) -> Any:
    """The type with its range and size, by the field that it is of."""
    record: Any = hint
    if dataclasses.is_dataclass(record):
        return model_of(typing.cast(Any, record))
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        items: Any = types.GenericAlias(list, (_form(arguments[0], name),))
        return Annotated[items, Field(max_length=_MOST_ITEMS.get(name, MOST_NODES))]
    if origin is types.UnionType:
        (kind,) = (argument for argument in arguments if argument is not type(None))
        return _form(kind, name) | None
    return hint if origin is Literal else _PLAIN[origin or hint](name)


def _whole(name: str) -> Any:
    return Annotated[int, Field(ge=-1 if name == "parent" else 0, le=MOST_INTEGER)]


def _number(name: str) -> Any:
    is_share = name.endswith("_prob") or name in _SHARES
    return Annotated[float, Field(ge=0, le=1 + _NOISE if is_share else MOST_INTEGER)]


def _text(name: str) -> Any:
    return Annotated[_Text, Field(max_length=_MOST_CHARS.get(name, MOST_NAME_CHARS))]


def _is_small(value: dict[Any, Any]) -> dict[Any, Any]:
    """Settings: any JSON whose numbers are fit for the page, and not too much of it."""
    num_values = 0
    level: list[Any] = [value.values()]
    for _ in range(_MOST_DEPTH):
        items = [item for values in level for item in values]
        num_values += len(items)
        if num_values > _MOST_VALUES:
            raise ValueError(f"at most {_MOST_VALUES:,} values")
        if any(isinstance(item, float) and not math.isfinite(item) for item in items):
            raise ValueError("finite numbers")
        level = [item.values() if isinstance(item, dict) else item for item in items if isinstance(item, dict | list)]
        if not level:
            return value
    raise ValueError(f"at most {_MOST_DEPTH} objects inside each other")


Settings = Annotated[dict[Any, Any], AfterValidator(_is_small)]
_PLAIN: dict[Any, Any] = {int: _whole, float: _number, str: _text, dict: lambda _: Settings}


class Annotations(BaseModel):
    """What was written beside a run's events."""

    model_config = _STRICT

    kind: Literal["annotations"]
    schema_version: int = 0
    task: Annotated[_Text, Field(max_length=MOST_NAME_CHARS)] = ""
    tags: Annotated[list[Annotated[_Text, Field(max_length=MOST_TAG_CHARS)]], Field(max_length=MOST_TAGS)] = []
    note: Annotated[_Text, Field(max_length=MOST_NOTE_CHARS)] = ""
    audit: Settings | None = None
    baseline_run_id: Annotated[_Text, Field(max_length=80)] | None = None
