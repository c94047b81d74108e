"""CopySpec: when the last `gamma` tokens stood in the context before, copy the block that followed them.

arXiv 2502.08923. A rolling hash of `gamma` tokens finds the earlier place in O(1) a token; the hash
of the context's own suffix enters the index one token late, so nothing matches itself. The tokens
behind an equal hash are compared, so a collision costs a copy and never a wrong one. The earliest
place wins, as in the paper; `tie` recent takes the latest. The copy is as long as pays on this
machine (`_reach.py`), `depth` tokens at most or, with `budget=fixed`, always, shorter where the
context ends. Where the paper lets a draft model write what cannot be copied, so does `fallback`
draft_model. State: two dictionaries from hash to place; they live with the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.drafters.base import Context
from engine.drafters.budget import budget_option
from engine.drafters.copying._copier import Copier
from engine.drafters.fallback import BackedOptions
from engine.options import option

BASE = 1_000_003
PRIME = 2**61 - 1


@dataclass(frozen=True)
class CopySpecOptions(BackedOptions):
    """What counts as a repetition and how much of it to copy."""

    gamma: int = option(3, "Last tokens that must have stood in the context before.", low=1, high=16, unit="tokens")
    depth: int = option(10, "Most tokens to copy in a step.", low=1, high=64, unit="tokens")
    budget: str = budget_option()
    tie: str = option("first", "Which of several equal matches to copy.", choices=("first", "recent"))


class RollingIndex:
    """Where each run of `gamma` tokens first and last ended, by a polynomial hash modulo 2^61 - 1."""

    def __init__(self, gamma: int) -> None:
        self.gamma = gamma
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.hash = 0
        """Of the last `gamma` tokens read; they are not in the index yet."""
        self._num_read = 0
        self._leaving = pow(BASE, gamma, PRIME)

    def extend(self, ids: Sequence[int]) -> None:
        """Read what was appended to `ids` since the last call."""
        for end in range(self._num_read, len(ids)):
            if end >= self.gamma:
                self.first.setdefault(self.hash, end)
                self.last[self.hash] = end
            out = ids[end - self.gamma] + 1 if end >= self.gamma else 0
            self.hash = (self.hash * BASE + ids[end] + 1 - out * self._leaving) % PRIME
        self._num_read = len(ids)


class CopySpec(Copier):
    """A block copy behind the place that a rolling hash finds."""

    name = "copyspec"
    title = "CopySpec"
    summary = (
        "Copies the block that followed the same few tokens earlier; a rolling hash finds it. Shines on repetition."
    )
    source = "arXiv 2502.08923"
    Options = CopySpecOptions
    options: CopySpecOptions

    def start(self, context: Context) -> None:
        super().start(context)
        self._index = RollingIndex(self.options.gamma)

    def _find(self, ids: Sequence[int]) -> tuple[Sequence[int], int] | None:
        self._index.extend(ids)
        found = self._index.first if self.options.tie == "first" else self._index.last
        end = found.get(self._index.hash)
        gamma = self.options.gamma
        return None if end is None or ids[end - gamma : end] != ids[-gamma:] else (ids, end)


DRAFTER = CopySpec
