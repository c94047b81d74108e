"""Prompt lookup decoding: copy what followed the context's last tokens when they stood there before.

Saxena, "Prompt Lookup Decoding" (2023). Rules, where the sources differ or are silent:
- The longest match wins: suffixes of `max_ngram` tokens first, then shorter, down to `min_ngram`.
- Among matches of one length the latest wins (`tie` recent; both sources take the first).
- The match may not be the suffix itself, and what follows it is cut at the context's end, so a
  copy never reads past the root. `is_whole` passes over matches that `depth` tokens do not follow,
  as the original does; transformers allows a shorter copy.
- The proposal is what followed, as far as it pays on this machine (`_reach.py`), up to `depth` tokens and
  the first end-of-text token; a loop (a match that overlaps the suffix) is copied as far as it is
  written, not unrolled. `budget=fixed` proposes all of it.
- 15 tokens, the root and them being 16 rows: where rows are cheap a pass of 11, with the 10 of the sources, costs
  nearly as much and was 15 % slower on text that copies (docs/log.md, 2026-11-21).
State: a hash index from each n-gram to the places where it ended, ascending, extended by the emitted
tokens: O(max_ngram) a token, O(max_ngram) a proposal (times log of the number of matches with
`is_whole`), whatever the context's length. It lives with the session.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.drafters.base import Context
from engine.drafters.budget import budget_option
from engine.drafters.copying._copier import Copier
from engine.drafters.fallback import BackedOptions
from engine.drafters.ngrams import NgramIndex
from engine.errors import BadInput
from engine.options import option

if TYPE_CHECKING:
    from engine.target import Target


@dataclass(frozen=True)
class PromptLookupOptions(BackedOptions):
    """How much to match and how far to copy."""

    depth: int = option(15, "Most tokens to copy in a step.", low=1, high=64, unit="tokens")
    budget: str = budget_option()
    max_ngram: int = option(3, "Longest suffix to look for.", low=1, high=16, unit="tokens")
    min_ngram: int = option(1, "Shortest suffix to look for.", low=1, high=16, unit="tokens")
    tie: str = option("recent", "Which of several equal matches to copy.", choices=("recent", "first"))
    is_whole: bool = option(False, "Pass over matches too near the end to copy all of depth.")


class PromptLookup(Copier):
    """Longest n-gram match in the context."""

    name = "prompt_lookup"
    title = "Prompt lookup"
    summary = "Copies the tokens that followed the same last words earlier in the text. Shines on retelling and repair."
    source = "Saxena 2023 (PLD)"
    Options = PromptLookupOptions
    options: PromptLookupOptions

    def __init__(self, options: PromptLookupOptions, target: Target) -> None:
        super().__init__(options, target)
        if options.min_ngram > options.max_ngram:
            raise BadInput(f"Option min_ngram is {options.min_ngram}, above max_ngram {options.max_ngram}.")

    def start(self, context: Context) -> None:
        super().start(context)
        self._index = NgramIndex(self.options.min_ngram, self.options.max_ngram)
        self._index.extend(context.ids)

    def _find(self, ids: Sequence[int]) -> tuple[Sequence[int], int] | None:
        self._index.extend(ids)
        start = self._best_end(ids)
        return None if start is None else (ids, start)

    def _best_end(self, ids: Sequence[int]) -> int | None:
        """Where the best match ends and the copy begins."""
        last = len(ids) - (self.options.depth if self.options.is_whole else 1)
        for length in range(min(self.options.max_ngram, len(ids) - 1), self.options.min_ngram - 1, -1):
            ends = self._index.ends(ids[-length:])
            if ends and ends[0] <= last:
                return ends[bisect_right(ends, last) - 1] if self.options.tie == "recent" else ends[0]
        return None


DRAFTER = PromptLookup
