"""Every word and figure that the page explains, by the name it has in an address: `?view=learn&term=block-efficiency`.

Definitions are those of `engine.definitions`, `engine.bench.report` and docs/glossary.md; none is written here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from engine import definitions
from engine.bench import report
from specviz.explaining import prose

BENCH = "bench"
"""Begins the names of a benchmark's figures: several are called as a run's and measured otherwise."""


@dataclass(frozen=True)
class Term:
    """One entry."""

    slug: str
    """As in an address."""
    name: str
    definition: str


def slug(name: str) -> str:
    """`block_efficiency` or "node, path" as `block-efficiency`, `node`: what stands before the first comma."""
    return "-".join(re.findall(r"[a-z0-9]+", name.partition(",")[0].lower()))


def figures() -> tuple[Term, ...]:
    """Every figure of a run, in the words of engine.definitions."""
    return _terms(definitions.DEFINITIONS)


def bench_figures() -> tuple[Term, ...]:
    """Every figure of a benchmark, in the words of engine.bench.report."""
    return _terms(report.DEFINITIONS, f"{BENCH}_")


def words() -> tuple[Term, ...]:
    """The words of docs/glossary.md."""
    return tuple(Term(slug(name), name, meaning) for name, meaning in prose.words())


@functools.cache
def terms() -> Mapping[str, Term]:
    """All of them by slug."""
    return {term.slug: term for term in (*figures(), *bench_figures(), *words())}


def _terms(definitions: Mapping[str, str], prefix: str = "") -> tuple[Term, ...]:
    return tuple(
        Term(slug(prefix + name), name.replace("_", " "), definition) for name, definition in definitions.items()
    )
