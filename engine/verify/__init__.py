"""Verification rules: which path of a draft tree survives, and the token that follows it."""

from __future__ import annotations

from engine.errors import UnknownName
from engine.verify.base import Rule, TargetRows, Verdict
from engine.verify.greedy import Greedy
from engine.verify.node_sampling import NodeSampling
from engine.verify.rejection import Rejection
from engine.verify.typical import Typical

_RULES: dict[str, type[Rule]] = {rule.name: rule for rule in (Greedy, NodeSampling, Rejection, Typical)}


def names() -> list[str]:
    """Names of the rules."""
    return list(_RULES)


def get(name: str) -> type[Rule]:
    """A rule by name. Raises UnknownName."""
    if name not in _RULES:
        raise UnknownName("verification rule", name, _RULES)
    return _RULES[name]


__all__ = ["Greedy", "NodeSampling", "Rejection", "Rule", "TargetRows", "Typical", "Verdict", "get", "names"]
