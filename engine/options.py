"""Options as data: one frozen dataclass per method, from which flags, controls and checks are made.

A field declared with `option(...)` carries its range, unit and help text. Knows nothing of any
method, command line or page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

from engine.errors import BadInput, UnknownName

T = TypeVar("T")
Value = bool | int | float | str
Kind = Literal["value", "method", "model", "weights", "file", "text"]
"""What an option is: a value in its range, the name of a method, model, folder of weights or file, or words."""


@dataclass(frozen=True)
class OptionSpec:
    """What a control or flag needs to know about one option."""

    name: str
    default: Value
    help: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    kind: Kind = "value"
    words: tuple[str, ...] = ()
    """Of one that names something: what else may stand there, such as auto."""
    spans_sessions: bool = False
    """Whether it carries something of one session into the next: not where visitors do not know each other."""

    @property
    def type(self) -> type:
        """bool, int, float or str: the type of the default."""
        return type(self.default)

    def parse(self, given: object) -> Value:
        """The value in this option's type. Raises BadInput with the range or choices."""
        value = self._convert(given)
        if self.choices and value not in self.choices:
            raise BadInput(f"Option {self.name} is {given!r}; choose one of: {', '.join(self.choices)}.")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and not self._is_in_range(float(value)):
            raise BadInput(f"Option {self.name} is {given!r}; wanted {self.range_text()}.")
        return value

    def range_text(self) -> str:
        """The range in words: "a whole number from 1 to 16 tokens"."""
        kind = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[self.type]
        bounds = f" from {self.low:g} to {self.high:g}" if self.low is not None and self.high is not None else ""
        return f"{kind}{bounds}{' ' + self.unit if self.unit else ''}"

    def _is_in_range(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def _convert(self, given: object) -> Value:
        wanted = BadInput(f"Option {self.name} is {given!r}; wanted {self.range_text()}.")
        text = str(given).strip()
        if self.type is bool:
            if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
                raise wanted
            return text.lower() in ("true", "1", "yes")
        try:
            if self.type is int:
                number = float(text)
                if number != int(number):
                    raise wanted
                return int(number)
            return self.type(text)  # type: ignore[no-any-return]
        except (ValueError, OverflowError) as error:
            raise wanted from error


def option(
    default: Value,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    kind: Kind = "value",
    words: tuple[str, ...] = (),
    spans_sessions: bool = False,
    comes_last: bool = False,
) -> Any:
    """A dataclass field that carries an OptionSpec in its metadata.

    `comes_last`: behind all that do not, though a base class may declare it before what its members add.
    """
    spec = {"help": help, "low": low, "high": high, "unit": unit, "choices": choices, "kind": kind, "words": words}
    metadata = {"spec": spec | {"spans_sessions": spans_sessions}, "comes_last": comes_last}
    return dataclasses.field(default=default, metadata=metadata)


def specs(options_class: type) -> tuple[OptionSpec, ...]:
    """The specs of a dataclass's fields, in order; a field made without `option` is left out."""
    fields = [f for f in dataclasses.fields(options_class) if "spec" in f.metadata]
    fields.sort(key=lambda f: bool(f.metadata["comes_last"]))
    return tuple(OptionSpec(f.name, cast(Value, f.default), **f.metadata["spec"]) for f in fields)


def parse(options_class: type[T], given: Mapping[str, object], owner: str) -> T:
    """An instance from names and raw values. Raises UnknownName or BadInput."""
    known = {spec.name: spec for spec in specs(options_class)}
    for name in given:
        if name not in known:
            raise UnknownName(f"option of {owner}", name, known)
    return options_class(**{name: known[name].parse(value) for name, value in given.items()})
