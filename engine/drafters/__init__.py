"""The drafting methods, found by listing the families' folders: a file's or folder's name is the method's name.

A family is a folder below this one; what in it begins with an underscore is its members' own, and a method that is a
folder keeps its drafter in `method.py`. A name that Python keeps for itself has an underscore behind it (`del_.py`).
`plain` drafts nothing and belongs to no family.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine import options
from engine.drafters.base import Context, Drafter, Needs, Room
from engine.drafters.costs import Costs
from engine.drafters.costs import of as costs_of
from engine.drafters.fallback import NO_FALLBACK, PREFIX, WithFallback
from engine.drafters.union import WithUnion
from engine.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from engine.target import Target

_BASELINE = "plain"


@functools.cache
def _modules() -> dict[str, str]:
    """The module of each method by name, `plain` first."""
    found: dict[str, str] = {}
    for family in (room.name for room in pkgutil.iter_modules(__path__) if room.ispkg):
        folders = [f"{path}/{family}" for path in __path__]
        members = [member for member in pkgutil.iter_modules(folders) if not member.name.startswith("_")]
        found |= {
            m.name.removesuffix("_"): f"{__name__}.{family}.{m.name}{'.method' if m.ispkg else ''}" for m in members
        }
    return {_BASELINE: f"{__name__}.{_BASELINE}"} | dict(sorted(found.items()))


def names() -> list[str]:
    """Method names, `plain` first."""
    return list(_modules())


def get(name: str) -> type[Drafter]:
    """A method's class. Raises UnknownName."""
    if name not in _modules():
        raise UnknownName("method", name, names())
    drafter: type[Drafter] = importlib.import_module(_modules()[name]).DRAFTER
    return drafter


def create(name: str, given: Mapping[str, object], target: Target, costs: Costs | None = None) -> Drafter:
    """A fresh drafter for one session, fitted to these costs, or to those that are kept with the target's model.

    Raises UnknownName or BadInput for a wrong option.
    """
    costs = costs or costs_of(target)
    made = [get(method)(settings, target) for method, settings in parse(name, given)]
    for drafter in made:
        drafter.fit(costs)
    if len(made) == 1:
        return made[0]
    first, second = made
    asked = [option.removeprefix(PREFIX) for option in given if option.startswith(PREFIX)]
    together = WithUnion if first.options.union else WithFallback
    return together(first, second, {option: getattr(second.options, option) for option in asked})


def caveats(methods: Mapping[str, Mapping[str, object]], target: Target) -> list[str]:
    """What is to be said before runs on a target, of it and of these methods with their options; each sentence once.

    Raises UnknownName or BadInput.
    """
    said = [target.caveat, *(create(name, given, target).caveat for name, given in methods.items())]
    return list(dict.fromkeys(filter(None, said)))


def parse(name: str, given: Mapping[str, object]) -> list[tuple[str, Any]]:
    """A method with its options, and behind it its fallback, if it is given one; `fallback.NAME` is the fallback's.

    Whether the two draft in turn or together, `union` of the first says.

    Raises UnknownName or BadInput.
    """
    own = {option: value for option, value in given.items() if not option.startswith(PREFIX)}
    rest = {option.removeprefix(PREFIX): value for option, value in given.items() if option.startswith(PREFIX)}
    settings = options.parse(get(name).Options, own, name)
    second = getattr(settings, "fallback", NO_FALLBACK)
    if second != NO_FALLBACK:
        second = _fallback_of(name, second)
        return [(name, settings), (second, options.parse(get(second).Options, _without_fallback(second, rest), second))]
    if getattr(settings, "union", False):
        raise BadInput(f"Option union is of two methods, and {name} is given no fallback.")
    if rest:
        raise BadInput(f"Option {PREFIX}{next(iter(rest))} is of a fallback, and {name} is given none.")
    return [(name, settings)]


def _without_fallback(name: str, given: Mapping[str, object]) -> Mapping[str, object]:
    """Options of a fallback. Raises BadInput where it is given one of its own."""
    if given.get("fallback", NO_FALLBACK) != NO_FALLBACK or "union" in given:
        raise BadInput(f"The fallback {name} is given a fallback of its own; two methods are the most.")
    return given


def _fallback_of(name: str, second: str) -> str:
    others = [other for other in names() if other not in (name, _BASELINE)]
    if second == name:
        raise BadInput(f"{name} cannot fall back to itself; choose {NO_FALLBACK} or one of: {', '.join(others)}.")
    if second not in others:
        raise UnknownName("fallback", second, [NO_FALLBACK, *others])
    return second


__all__ = ["Context", "Costs", "Drafter", "Needs", "Room", "caveats", "costs_of", "create", "get", "names", "parse"]
