"""ADED, adaptive draft-verification: tree search over a tri-gram table that follows the text.

Liu et al., "Adaptive Draft-Verification for LLM Decoding" (arXiv 2407.12021) and its released code. Each step:
the last `window` tokens' tri-grams gain weight; a Monte-Carlo tree search grows continuations of up to `length`
tokens from the last two; the most visited become the draft tree. Choices where the sources differ or are silent:
- What a session learns lies over the shared table and dies with the session (the released code keeps it
  for everybody); `warm` keeps it for the next session that asks for it, on the same target and table.
- The search is seeded by the session's seed and the position, and successors are kept in order, so it
  is reproducible; the released code follows the order of a hash map.
- Acceptance is node-sampling or greedy like everywhere here; the released one draws twice when sampling.
- `nodes` 0 chooses the size of the tree that promises most tokens per time, from this machine's measured cost
  of a pass of m rows and from how often each node was accepted so far; 64 is the paper's setting.
- An unknown pair drafts nothing; the released code drafts token 100.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from engine.drafters.base import Context, Drafter, Room
from engine.drafters.budget import MeasuredBudget
from engine.drafters.tables.aded import search
from engine.drafters.trigrams import EMPTY_TABLE, Overlay, TrigramTable, load_table
from engine.errors import BadInput
from engine.models import weights_folder
from engine.options import option
from engine.tree import EMPTY_TREE, DraftTree

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target
    from engine.verify import Verdict

TABLE_FILE = "table.safetensors"
MOST_NODES = 64


@dataclass(frozen=True)
class AdedOptions:
    """The paper's settings, save for the number of nodes."""

    nodes: int = option(0, "Most nodes to draft; 0 fits this machine, 64 is the paper's.", low=0, high=64, unit="nodes")
    table: str = option(
        "auto", "Tri-gram table: the target's own (auto), none, or a file.", kind="file", words=("auto", "none")
    )
    iterations: int = option(150, "Rounds of search per step.", low=1, high=1000, unit="rounds")
    length: int = option(4, "Most tokens of a draft path.", low=1, high=8, unit="tokens")
    paths: int = option(24, "Most visited prefixes to keep.", low=1, high=64, unit="prefixes")
    exploration: float = option(
        32.0, "c1: weight of what the table says against what the search found.", low=0.0, high=1000.0
    )
    exploration_decay: float = option(
        8.0, "c2: visits after which exploration grows; smaller is sooner.", low=0.01, high=100_000.0
    )
    window: int = option(
        16, "Last tokens whose tri-grams gain weight each step; 0 never.", low=0, high=512, unit="tokens"
    )
    increment: float = option(0.04, "Weight that a tri-gram gains.", low=0.0, high=3.0)
    cap: float = option(3.0, "Most weight of a tri-gram.", low=0.0, high=100.0)
    warm: bool = option(False, "Start from what the last warm session on this target learnt.", spans_sessions=True)


class Aded(Drafter):
    """Searches a tri-gram table that adapts to the text."""

    name = "aded"
    title = "ADED"
    summary = "Searches a table of which token follows which two for likely continuations; it adapts to the text."
    source = "arXiv 2407.12021"
    Options = AdedOptions
    options: AdedOptions
    _WARM: ClassVar[dict[tuple[str, str], Overlay]] = {}

    def __init__(self, options: AdedOptions, target: Target) -> None:
        super().__init__(options, target)
        self._table = _find_table(options.table, target)
        self._warm_key = (f"{target.facts.name} {target.facts.vocabulary_fingerprint}", options.table)
        self._budget = MeasuredBudget(most=options.nodes or MOST_NODES)
        _compile()

    def fit(self, costs: Costs) -> None:
        if not self.options.nodes:
            self._budget = MeasuredBudget(costs.rows, MOST_NODES)

    def start(self, context: Context) -> None:
        super().start(context)
        kept = self._WARM.get(self._warm_key) if self.options.warm else None
        self._overlay = kept or Overlay(self._table)
        if self.options.warm:
            self._WARM[self._warm_key] = self._overlay

    def propose(self, context: Context, room: Room) -> DraftTree:
        options, ids = self.options, context.ids
        if len(ids) < 2:
            return EMPTY_TREE
        if options.window:
            self._overlay.adapt(np.array(ids[-options.window :], np.int64), options.increment, options.cap)
        wanted = self._budget.choose()
        if (most := min(wanted, room.nodes)) < 1 or room.depth < 1:
            return EMPTY_TREE
        length = min(options.length, room.depth)
        tokens, parents = search.draft(
            ids[-2],
            ids[-1],
            options.iterations,
            # The last token of a path is its heaviest successor, appended after the search; of one token none is.
            max(length - 1, 1),
            options.paths,
            most,
            options.exploration,
            options.exploration_decay,
            (context.config.seed * 1_000_003 + context.position) % 2**63,
            self._overlay.arrays,
        )
        return self._budget.offer(DraftTree(tuple(tokens.tolist()), tuple(parents.tolist())).pruned(most, length))

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        self._budget.learn(self.context.tree, verdict.path)


@functools.cache
def _compile() -> None:
    """Have numba compile, or fetch, what a step calls: not in a step, whose time is measured."""
    overlay = Overlay(EMPTY_TABLE)
    overlay.adapt(np.zeros(3, np.int64), 0.1, 1.0)
    search.draft(0, 0, 2, 2, 2, 2, 1.0, 1.0, 0, overlay.arrays)


def _find_table(given: str, target: Target) -> TrigramTable:
    if given == "none":
        return EMPTY_TABLE
    fingerprint = target.facts.vocabulary_fingerprint
    if given == "auto":
        folder = weights_folder(target.facts, Aded.name)
        return load_table(folder / TABLE_FILE, fingerprint) if folder else EMPTY_TABLE
    path = Path(given)
    if not path.is_file():
        raise BadInput(f"There is no table {given}; give auto, none, or a file that `engine train aded` wrote.")
    return load_table(path, fingerprint)


DRAFTER: type[Any] = Aded
