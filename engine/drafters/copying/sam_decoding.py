"""SAM-Decoding: suffix automata find the longest suffix of the context that was ever written before.

arXiv 2411.10666. One automaton over the context (dynamic) and, with `corpus`, one over a text file
(static, built once, read-only, shared). A cursor in each knows the longest match; the dynamic cursor
reads a token before its automaton does, so nothing matches itself.
- The static match counts `static_bias` tokens less; the longer one drafts, ties to the dynamic.
- A match shorter than `min_match` proposes nothing (then a fallback may).
- The number of nodes is min(depth, 1 + floor(alpha * match)): a longer match is trusted further. Of these as many
  are drafted as pay on this machine (`_reach.py`, `budget.py`); `budget=fixed` drafts all.
- Dynamic: a chain of what followed the match, `tie` first or recent. Where the copy reaches the
  context's end it goes on with its own tokens, so that a loop is unrolled.
- Static: a tree, best first by the product of occurrences(child) / occurrences(state), at most
  `BRANCHING` successors of a state and as many nodes of a depth.
Amortised O(1) a token (`tie` recent: O(number of suffix links), a handful in natural text).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.drafters.base import Context, Drafter, Room
from engine.drafters.budget import FREE, MeasuredBudget, budget_option
from engine.drafters.copying._automaton import Cursor, SuffixAutomaton
from engine.drafters.copying._corpus import BRANCHING, corpus_automaton, corpus_option
from engine.drafters.copying._reach import Reach
from engine.drafters.fallback import BackedOptions
from engine.drafters.ngrams import copy
from engine.options import option
from engine.tree import EMPTY_TREE, DraftTree

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target
    from engine.verify import Verdict

COPIED_DECAY = 0.95
"""How much less a node of a corpus is accepted than the one before it, until more is known."""


@dataclass(frozen=True)
class SamDecodingOptions(BackedOptions):
    """What to match, how far to trust a match, and a corpus."""

    depth: int = option(16, "Most tokens to propose in a step.", low=1, high=64, unit="tokens")
    budget: str = budget_option()
    alpha: float = option(4.0, "Tokens to propose for each matched token.", low=0.0, high=16.0)
    min_match: int = option(1, "Shortest match to draft from.", low=1, high=64, unit="tokens")
    tie: str = option("recent", "Which occurrence in the context to copy.", choices=("recent", "first"))
    corpus: str = corpus_option()
    static_bias: int = option(5, "Matched tokens by which the corpus must be ahead.", low=0, high=64, unit="tokens")


class SamDecoding(Drafter):
    """The longest match of context and corpus, by two automata."""

    name = "sam_decoding"
    title = "SAM-Decoding"
    summary = "Copies behind the longest match in text or corpus, found by suffix automata; the longer, the further."
    source = "arXiv 2411.10666"
    Options = SamDecodingOptions
    options: SamDecodingOptions

    def __init__(self, options: SamDecodingOptions, target: Target) -> None:
        super().__init__(options, target)
        self._eos_ids = target.facts.eos_ids
        self._costs: Sequence[float] = FREE
        self._reach = Reach()
        self._budgets: dict[int, MeasuredBudget] = {}
        """Of the corpus, by the match's length to the next power of two: a longer one is more often right."""
        self._corpus = corpus_automaton(options.corpus, target.facts)

    def fit(self, costs: Costs) -> None:
        if self.options.budget == "measured":
            self._costs, self._reach = costs.rows, Reach(costs.rows)

    def start(self, context: Context) -> None:
        super().start(context)
        self._asked: MeasuredBudget | None = None
        self._dynamic = Cursor(SuffixAutomaton(tracks_last=self.options.tie == "recent"))
        self._static = Cursor(self._corpus.automaton) if self._corpus else None
        self._read(context.ids)

    def propose(self, context: Context, room: Room) -> DraftTree:
        self._read(context.ids)
        self._asked = None
        static_match = self._static.length - self.options.static_bias if self._static else 0
        match = max(self._dynamic.length, static_match)
        if match < self.options.min_match:
            return EMPTY_TREE
        most = min(self.options.depth, 1 + int(self.options.alpha * match))
        if static_match <= self._dynamic.length:
            return self._reach.draft(self._copy(most).tokens, match, room.chain)
        budget = self._asked = self._budgets.setdefault(
            match.bit_length(), MeasuredBudget(self._costs, self.options.depth, rate_decay=COPIED_DECAY)
        )
        num_nodes = budget.choose(range(min(most, room.nodes))) if room.depth else 0
        return budget.offer(self._grow(num_nodes, room.depth))

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        """How far such a match was right."""
        self._reach.learn(emitted)
        if self._asked is not None:
            self._asked.learn(self.context.tree, verdict.path)

    def _read(self, ids: Sequence[int]) -> None:
        automaton = self._dynamic.automaton
        for place in range(len(automaton.tokens), len(ids)):
            # Before its own automaton reads the token: the match and its place are earlier ones.
            self._dynamic.advance(ids[place])
            self._start = self._match_end()
            automaton.append(ids[place])
            self._dynamic.settle()
            if self._static:
                self._static.advance(ids[place])

    def _match_end(self) -> int:
        """Where the text behind the dynamic match begins."""
        automaton, state = self._dynamic.automaton, self._dynamic.state
        return automaton.last_end[state] if self.options.tie == "recent" else automaton.first_end[state]

    def _copy(self, num_tokens: int) -> DraftTree:
        tokens = self._dynamic.automaton.tokens
        period = len(tokens) - self._start
        copied = tokens[self._start : self._start + num_tokens]
        while len(copied) < num_tokens:
            copied.append(copied[-period])
        return copy(copied, 0, num_tokens, self._eos_ids)

    def _grow(self, num_nodes: int, most_depth: int) -> DraftTree:
        """Best first from the static match."""
        assert self._corpus is not None
        assert self._static is not None
        tokens: list[int] = []
        parents: list[int] = []
        num_at_depth: dict[int, int] = {}
        heap = self._heap_items(1.0, self._static.state, -1, 1)
        heapq.heapify(heap)
        while heap and len(tokens) < num_nodes:
            worth, depth, parent, token, state = heapq.heappop(heap)
            if num_at_depth.get(depth, 0) == BRANCHING:
                continue
            num_at_depth[depth] = num_at_depth.get(depth, 0) + 1
            tokens.append(token)
            parents.append(parent)
            if depth < most_depth and token not in self._eos_ids:
                for item in self._heap_items(-worth, state, len(tokens) - 1, depth + 1):
                    heapq.heappush(heap, item)
        return DraftTree(tuple(tokens), tuple(parents))

    def _heap_items(self, worth: float, state: int, parent: int, depth: int) -> list[tuple[float, int, int, int, int]]:
        assert self._corpus is not None
        found = self._corpus.successors(state)
        return [(-worth * share, depth, parent, token, child) for share, token, child in found]


DRAFTER = SamDecoding
