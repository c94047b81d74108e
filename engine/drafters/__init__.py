"""The drafting methods, found by listing this folder: a file's name is the method's name."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine import options
from engine.drafters._fallback import NO_FALLBACK, WithFallback
from engine.drafters.base import Context, Drafter, Needs
from engine.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from engine.target import Target

_SHARED = {"base"}


@functools.cache
def names() -> list[str]:
    """Method names, `plain` first."""
    found = [m.name for m in pkgutil.iter_modules(__path__) if m.name not in _SHARED and not m.name.startswith("_")]
    return sorted(found, key=lambda name: (name != "plain", name))


def get(name: str) -> type[Drafter]:
    """A method's class. Raises UnknownName."""
    if name not in names():
        raise UnknownName("method", name, names())
    drafter: type[Drafter] = importlib.import_module(f"{__name__}.{name}").DRAFTER
    return drafter


def create(name: str, given: Mapping[str, object], target: Target) -> Drafter:
    """A fresh drafter for one session. Raises UnknownName or BadInput for a wrong option."""
    drafter = get(name)
    settings = options.parse(drafter.Options, given, name)
    second = getattr(settings, "fallback", NO_FALLBACK)
    if second == NO_FALLBACK:
        return drafter(settings, target)
    return WithFallback(drafter(settings, target), create(_fallback_of(name, second), {}, target))


def _fallback_of(name: str, second: str) -> str:
    others = [other for other in names() if other not in (name, "plain")]
    if second == name:
        raise BadInput(f"{name} cannot fall back to itself; choose {NO_FALLBACK} or one of: {', '.join(others)}.")
    if second not in others:
        raise UnknownName("fallback", second, [NO_FALLBACK, *others])
    return second


__all__ = ["Context", "Drafter", "Needs", "create", "get", "names"]
