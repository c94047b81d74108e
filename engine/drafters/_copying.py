"""What copying methods share: a copy of earlier tokens as a draft chain."""

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
