"""STAND's memory: for each n-gram that was seen a running mean of what the target found likely behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MIN_NGRAM, MAX_NGRAM = 2, 4
NUM_KEPT = 10
MAX_DEPTH = 12
Path = tuple[int, ...]
"""From the root, of each node its rank among its siblings."""


@dataclass
class Entry:
    """What followed an n-gram: tokens by falling mean probability, at most `NUM_KEPT`."""

    tokens: list[int] = field(default_factory=list)
    probs: list[float] = field(default_factory=list)
    num_visits: int = 0

    def add(self, tokens: Sequence[int], probs: Sequence[float]) -> None:
        """One more visit with these probabilities."""
        k = self.num_visits
        mean = {token: prob * k / (k + 1) for token, prob in zip(self.tokens, self.probs, strict=True)}
        for token, prob in zip(tokens, probs, strict=True):
            mean[token] = mean.get(token, 0.0) + prob / (k + 1)
        ranked = sorted(mean.items(), key=lambda item: (-item[1], item[0]))[:NUM_KEPT]
        self.tokens, self.probs = [token for token, _ in ranked], [prob for _, prob in ranked]
        self.num_visits = k + 1


class Memory:
    """Entries by n-gram."""

    def __init__(self) -> None:
        self.entries: dict[tuple[int, ...], Entry] = {}

    def add(self, ids: Sequence[int], end: int, tokens: Sequence[int], probs: Sequence[float]) -> None:
        """What follows `ids[:end]`, for each n-gram that ends there."""
        for length in range(MIN_NGRAM, min(MAX_NGRAM, end) + 1):
            self.entries.setdefault(tuple(ids[end - length : end]), Entry()).add(tokens, probs)

    def get(self, last: tuple[int, ...]) -> Entry | None:
        """The entry of the longest n-gram that ends these (at most `MAX_NGRAM`) tokens."""
        for begin in range(len(last) - MIN_NGRAM + 1):
            entry = self.entries.get(last[begin:])
            if entry is not None:
                return entry
        return None

    def ranks(self, ids: Sequence[int], following: Sequence[int]) -> Path:
        """Which child, from the likeliest, would have been right at each place: as far as any would."""
        path: list[int] = []
        last = tuple(ids[-MAX_NGRAM:])
        for token in following[:MAX_DEPTH]:
            entry = self.get(last)
            if entry is None or token not in entry.tokens:
                break
            path.append(entry.tokens.index(token))
            last = (*last, token)[-MAX_NGRAM:]
        return tuple(path)
