"""Verification rules: which path of a draft tree survives, and the token that follows it.

Found by listing this folder: a file's name is the rule's name, and `RULE` in it the rule. Nobody else knows a rule by
its name; what is to be known of one, the rule says (`base.Rule`).
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from engine.errors import UnknownName
from engine.verify.base import DraftMode, Rule, TargetRows, Temperatures, Verdict

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


__all__ = ["DraftMode", "Rule", "TargetRows", "Temperatures", "Verdict", "default", "get", "names"]
