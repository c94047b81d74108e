"""Verification rules: which path of a draft tree survives, and the token that follows it.

Found by listing this folder: a file's name is the rule's name, and `RULE` in it the rule. Nobody else knows a rule by
its name; what is to be known of one, the rule says (`base.Rule`).
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Collection

from engine.draws import Drawing
from engine.errors import UnknownName
from engine.verify.base import DRAWN, DraftMode, Rule, TargetRows, Temperatures, Verdict

_SHARED = "base"


@functools.cache
def names() -> tuple[str, ...]:
    """Names of the rules."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if name != _SHARED and not name.startswith("_")))


@functools.cache
def get(name: str) -> type[Rule]:
    """A rule by name. Raises UnknownName."""
    if name not in names():
        raise UnknownName("verification rule", name, names())
    rule: type[Rule] = importlib.import_module(f"{__name__}.{name}").RULE
    return rule


@functools.cache
def default(temperatures: Temperatures) -> type[Rule]:
    """The rule to take at these temperatures where none is asked for."""
    (rule,) = (rule for rule in map(get, names()) if rule.default_at == temperatures)
    return rule


def fitting(drawings: Collection[Drawing]) -> tuple[str, ...]:
    """Rules above temperature 0 for a drafter that can draw in these ways, the default first."""
    rules = [get(name) for name in names() if get(name).needs_temperature != "zero" and get(name).guarantee == "exact"]
    fit = [rule for rule in rules if rule.draft_mode != "drawn" or rule.drawing in drawings]
    return tuple(rule.name for rule in sorted(fit, key=lambda rule: (rule.default_at is None, rule.name)))


__all__ = [
    "DRAWN",
    "DraftMode",
    "Drawing",
    "Rule",
    "TargetRows",
    "Temperatures",
    "Verdict",
    "default",
    "fitting",
    "get",
    "names",
]
