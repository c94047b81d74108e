"""What copying methods share: an index of n-grams, and a copy of earlier tokens as a draft chain."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engine.tree import EMPTY_TREE, DraftTree, chain


def copy(ids: Sequence[int], start: int, num_tokens: int, end_ids: Collection[int] = ()) -> DraftTree:
    """`ids[start : start + num_tokens]` as a chain, cut behind the first token that ends a text."""
    copied = list(ids[start : start + max(num_tokens, 0)])
    for place, token in enumerate(copied):
        if token in end_ids:
            return chain(copied[: place + 1])
    return chain(copied) if copied else EMPTY_TREE


class NgramIndex:
    """From each n-gram of a growing text to the places (ascending) where it ended."""

    def __init__(self, min_length: int, max_length: int) -> None:
        self._lengths = range(min_length, max_length + 1)
        self._ends: dict[tuple[int, ...], list[int]] = {}
        self._num_indexed = 0

    def extend(self, ids: Sequence[int]) -> None:
        """Index what was appended to `ids` since the last call; its suffix becomes a last entry."""
        for end in range(self._num_indexed + 1, len(ids) + 1):
            for length in self._lengths:
                if length > end:
                    break
                self._ends.setdefault(tuple(ids[end - length : end]), []).append(end)
        self._num_indexed = len(ids)

    def ends(self, ngram: Sequence[int]) -> list[int]:
        """Where it ended so far."""
        return self._ends.get(tuple(ngram), [])
