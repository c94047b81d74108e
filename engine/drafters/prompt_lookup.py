"""Prompt lookup decoding: copy what followed the context's last tokens when they stood there before.

Saxena, "Prompt Lookup Decoding" (2023). Rules, where the sources differ or are silent:
- The longest match wins: suffixes of `max_ngram` tokens first, then shorter, down to `min_ngram`.
- Among matches of one length the latest wins (`tie` recent; transformers takes the first).
- The match may not be the suffix itself, and what follows it is cut at the context's end, so a
  copy never reads past the root.
- The proposal is what followed, up to `depth` tokens; a loop (a match that overlaps the suffix)
  is copied as far as it is written, not unrolled.
State: an index from each n-gram to the places where it ended, extended by the emitted tokens, O(1)
a token and n-gram length; it lives with the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.drafters.base import Context, Drafter
from engine.errors import BadInput
from engine.options import option
from engine.tree import EMPTY_TREE, DraftTree, chain

if TYPE_CHECKING:
    from engine.target import Target


@dataclass(frozen=True)
class PromptLookupOptions:
    """How much to match and how far to copy."""

    depth: int = option(10, "Most tokens to copy in a step.", low=1, high=64, unit="tokens")
    max_ngram: int = option(3, "Longest suffix to look for.", low=1, high=16, unit="tokens")
    min_ngram: int = option(1, "Shortest suffix to look for.", low=1, high=16, unit="tokens")
    tie: str = option("recent", "Which of several equal matches to copy.", choices=("recent", "first"))


class PromptLookup(Drafter):
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
        self._ends: list[dict[tuple[int, ...], list[int]]] = [{} for _ in range(self.options.max_ngram + 1)]
        self._num_indexed = 0
        self._extend_index(context.ids)

    def propose(self, context: Context, budget: int) -> DraftTree:
        self._extend_index(context.ids)
        start = self._find(context.ids)
        if start is None:
            return EMPTY_TREE
        return chain(context.ids[start : start + min(self.options.depth, budget)])

    def _find(self, ids: Sequence[int]) -> int | None:
        """Where the copy begins: just behind the best match."""
        for length in range(min(self.options.max_ngram, len(ids) - 1), self.options.min_ngram - 1, -1):
            ends = self._ends[length].get(tuple(ids[-length:]), [])
            if len(ends) > 1:
                return ends[-2 if self.options.tie == "recent" else 0]
        return None

    def _extend_index(self, ids: Sequence[int]) -> None:
        """Note where each n-gram ends; the context's own suffix becomes each list's last entry."""
        for end in range(self._num_indexed + 1, len(ids) + 1):
            for length in range(self.options.min_ngram, min(self.options.max_ngram, end) + 1):
                self._ends[length].setdefault(tuple(ids[end - length : end]), []).append(end)
        self._num_indexed = len(ids)


DRAFTER = PromptLookup
