"""Input-guided aggressive decoding: the output is nearly the input, so draft the rest of the input.

arXiv 2205.10350. The source is the prompt, or what follows `marker` in it. While what is emitted is
the source's text, the draft goes on with it; after a correction the output's last tokens are looked
for in the source: if the last one stands there exactly once, the draft goes on behind it; if it
stands there several times, the last two decide, then the last three; else nothing is proposed until
the two meet again. With a marker the first draft is the source's beginning. The paper drafts the
whole rest of the source; a long draft that fails at once is a wasted pass, so as much is drafted as pays on
this machine (`_reach.py`), and `depth` tokens at most or, with `budget=fixed`, always.
State: an index of the source's 1- to 3-grams, made once; O(1) a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.drafters.base import Context
from engine.drafters.budget import budget_option
from engine.drafters.copying._copier import Copier
from engine.drafters.fallback import BackedOptions
from engine.drafters.ngrams import NgramIndex
from engine.options import option

if TYPE_CHECKING:
    from engine.target import Target

MAX_NGRAM = 3


@dataclass(frozen=True)
class IadOptions(BackedOptions):
    """What the source is and how far to draft it."""

    depth: int = option(32, "Most tokens of the source to draft in a step.", low=1, high=128, unit="tokens")
    budget: str = budget_option()
    marker: str = option(
        "", "Text of the prompt behind which the source begins; empty for the whole prompt.", kind="text"
    )


class Iad(Copier):
    """The source, re-aligned after each correction."""

    name = "iad"
    title = "Input-guided"
    summary = "Drafts the rest of the input and finds its place again after each edit. Shines on repair and edits."
    source = "arXiv 2205.10350"
    Options = IadOptions
    options: IadOptions

    def __init__(self, options: IadOptions, target: Target) -> None:
        super().__init__(options, target)
        self._model = target.facts

    def start(self, context: Context) -> None:
        super().start(context)
        begin = self._begin(context.ids)
        self._source = list(context.ids) if begin is None else context.ids[begin:]
        self._index = NgramIndex(1, MAX_NGRAM)
        self._index.extend(self._source)
        self._at: int | None = None if begin is None else 0
        """Place in the source of what comes next; None where output and source have not met."""
        self._num_prompt = self._num_read = len(context.ids)

    def _find(self, ids: Sequence[int]) -> tuple[Sequence[int], int] | None:
        self._follow(ids)
        return None if self._at is None else (self._source, self._at)

    def _begin(self, ids: Sequence[int]) -> int | None:
        """The first token behind the marker's text; None without a marker, or where it is not found."""
        marker, decode = self.options.marker, self._model.decode
        if not marker or marker not in decode(ids):
            return None
        # The shortest beginning that holds the marker: its length grows with the text, so bisect.
        low, high = 0, len(ids)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if marker in decode(ids[:middle]) else (middle + 1, high)
        return low

    def _follow(self, ids: Sequence[int]) -> None:
        """Move along the source by what was emitted since the last call, or find the place anew."""
        emitted = list(ids[self._num_read :])
        self._num_read = len(ids)
        if not emitted:
            return
        if self._at is not None and self._source[self._at : self._at + len(emitted)] == emitted:
            self._at += len(emitted)
        else:
            self._at = self._aligned(ids[max(self._num_prompt, len(ids) - MAX_NGRAM) :])

    def _aligned(self, output: Sequence[int]) -> int | None:
        """Behind the only place of the source where the shortest decisive suffix of the output stands."""
        for length in range(1, len(output) + 1):
            ends = self._index.ends(output[-length:])
            if len(ends) < 2:
                return ends[0] if ends else None
        return None


DRAFTER = Iad
