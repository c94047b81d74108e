"""Whether an endpoint is given what its signature says: any JSON may come, from anybody.

Looks at the outermost value and at the items of a list of texts; what the values mean is the endpoint's own matter.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar

from engine.errors import BadInput

_P = ParamSpec("_P")
_R = TypeVar("_R")
_WANTED = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def checked(endpoint: Callable[_P, _R]) -> Callable[_P, _R]:
    """The endpoint, which raises BadInput for an argument of another kind before it does anything.

    Annotations that are no kind of JSON, such as the request's own, are not looked at.
    """
    signature, hints = inspect.signature(endpoint), functools.cache(lambda: typing.get_type_hints(endpoint))

    @functools.wraps(endpoint)
    def asked(*given: _P.args, **named: _P.kwargs) -> _R:
        for name, value in signature.bind(*given, **named).arguments.items():
            _check(name, value, hints().get(name, Any))
        return endpoint(*given, **named)

    return asked


def _check(name: str, value: Any, hint: Any) -> None:
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin is types.UnionType:
        if value is not None:
            _check(name, value, inner[0])
        return
    kind = str if origin is Literal else origin
    if kind in _WANTED and not _is(value, kind):
        raise BadInput(f"{name} is {value!r:.40}; wanted {_WANTED[kind]}.")
    if kind is list and inner == (str,) and not all(isinstance(item, str) for item in value):
        raise BadInput(f"{name} holds what is no text; wanted a list of texts.")


def _is(value: Any, kind: type) -> bool:
    """By JSON's kinds: true is no number, and a whole number is one."""
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, int | float if kind is float else kind)
