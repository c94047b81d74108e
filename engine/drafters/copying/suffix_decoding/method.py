"""SuffixDecoding: counts of what followed each suffix of the text, here and in past answers, drawn as a tree.

arXiv 2411.04975, and its authors' code (ArcticInference). One counted index over this text, prompt and output, one over
a corpus of past answers (`corpus`, read-only, shared): suffix automata, whose states are the nodes of a suffix tree of
any depth.
- Behind each length of match n of the context's end, factor · n + offset nodes are proposed at most: the likeliest
  continuation (`tree=path`) or the best first (`tree=best`), by the product of shares, none below `min_share`.
- A draft's score is the sum of its products. The best over all lengths and both texts is proposed; of equals the longer
  match, then this text's. Below `min_score` nothing is, and a fallback may be asked: the authors' hybrid with a head.
- A token's share is its count ÷ that of all tokens that followed. The authors' code counts the text's own end as an
  occurrence that nothing followed, so that what stood once before has a share of one half; here of one.
- Of these nodes as many are drafted as pay on this machine (trust.py); `budget=fixed` drafts all.
Past answers are those of the corpus file alone: what one visitor is told is never another's draft.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.drafters.base import Context, Drafter, Room
from engine.drafters.budget import budget_option
from engine.drafters.copying._automaton import Cursor, SuffixAutomaton
from engine.drafters.copying._corpus import corpus_automaton, corpus_option
from engine.drafters.copying.suffix_decoding.candidates import Limits, Source, best
from engine.drafters.copying.suffix_decoding.trust import Trust
from engine.drafters.fallback import BackedOptions
from engine.options import option
from engine.tree import EMPTY_TREE, DraftTree

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target
    from engine.verify import Verdict


@dataclass(frozen=True)
class SuffixDecodingOptions(BackedOptions):
    """How far a match is followed, what is left out, and past answers."""

    depth: int = option(24, "Deepest node to propose.", low=1, high=64, unit="tokens")
    tree: str = option("best", "A tree, best first, or the likeliest path alone.", choices=("best", "path"))
    factor: float = option(1.0, "Nodes to propose for each matched token.", low=0.0, high=16.0)
    offset: float = option(0.0, "Nodes to propose beside those.", low=-8.0, high=64.0)
    min_share: float = option(0.1, "Smallest product of shares that is proposed.", low=0.0, high=1.0)
    min_score: float = option(0.0, "Expected tokens below which nothing is proposed.", low=0.0, high=64.0)
    budget: str = budget_option()
    corpus: str = corpus_option()


class SuffixDecoding(Drafter):
    """The best counted continuation over all lengths of match."""

    name = "suffix_decoding"
    title = "SuffixDecoding"
    summary = "Counts what followed each suffix of the text, here and in past answers; drafts the best-scoring tree."
    source = "arXiv 2411.04975"
    Options = SuffixDecodingOptions
    options: SuffixDecodingOptions

    def __init__(self, options: SuffixDecodingOptions, target: Target) -> None:
        super().__init__(options, target)
        self._eos_ids = frozenset(target.facts.eos_ids)
        self._corpus = corpus_automaton(options.corpus, target.facts)
        self._trust = Trust()

    def fit(self, costs: Costs) -> None:
        if self.options.budget == "measured":
            self._trust = Trust(costs.rows)

    def start(self, context: Context) -> None:
        super().start(context)
        self._own = Cursor(SuffixAutomaton(counts=True))
        self._past = Cursor(self._corpus.automaton) if self._corpus else None
        self._read(context.ids)

    def propose(self, context: Context, room: Room) -> DraftTree:
        self._read(context.ids)
        found = best(self._sources(), self._limits(room))
        if found is not None and found.score < self.options.min_score:
            found = None
        num_nodes = self._trust.num_paying(found)
        if found is None or num_nodes == 0:
            return EMPTY_TREE
        return DraftTree(tuple(found.tokens[:num_nodes]), tuple(found.parents[:num_nodes]))

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        """How far what was counted came true."""
        self._trust.learn(emitted)

    def _sources(self) -> list[Source]:
        own = Source(self._own, self._own.automaton.count)
        if self._past is None or self._corpus is None:
            return [own]
        return [own, Source(self._past, self._corpus.counts)]

    def _limits(self, room: Room) -> Limits:
        given = self.options
        depth = min(given.depth, room.depth)
        nodes = room.nodes if depth else 0
        is_path = given.tree == "path"
        return Limits(given.factor, given.offset, given.min_share, depth, nodes, is_path, self._eos_ids)

    def _read(self, ids: Sequence[int]) -> None:
        automaton = self._own.automaton
        for token in ids[len(automaton.tokens) :]:
            # Before its own automaton reads the token: the match is an earlier one.
            self._own.advance(token)
            automaton.append(token)
            self._own.settle()
            if self._past:
                self._past.advance(token)


DRAFTER = SuffixDecoding
