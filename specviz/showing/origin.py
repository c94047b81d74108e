"""Where a stored run was measured, in words: here, or elsewhere by whoever brought the file.

What a file says of itself is a claim: its times, its speedup and its verdict were measured by nobody here.
"""

from __future__ import annotations

import hashlib

from specviz.store import RunRow
from specviz.times import MINUTES, moment

CLAIMED = "claimed"
WARNING = "Imported runs are among them: their times and verdicts are what a file claims, measured by nobody here."


def is_claim(run: RunRow) -> bool:
    """Whether the run came in a file."""
    return run.origin == "imported"


def may_compare(run: RunRow, other: RunRow) -> bool:
    """Whether a ratio of the two is of one kind: both measured here, or both claimed."""
    return is_claim(run) == is_claim(other)


def in_words(run: RunRow) -> str:
    """Such as `measured here`, or `imported 2026-01-31 14:30 UTC by visitor 3fa2c1`."""
    if run.origin == "unknown":
        return "origin not recorded"
    if not is_claim(run):
        return "measured here"
    return f"imported {moment(run.added_at, MINUTES)} by {_who(run.visitor)}"


def claimed(text: str, run: RunRow) -> str:
    """A figure or a verdict, called a claim where it is one."""
    return f"{CLAIMED}: {text}" if is_claim(run) else text


def _who(visitor: str) -> str:
    """A name that tells visitors apart and gives nobody their rights."""
    return f"visitor {hashlib.sha256(visitor.encode()).hexdigest()[:6]}" if visitor else "somebody unknown"
