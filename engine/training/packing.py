"""Chats into rows of equal length, so that each begins inside its row and little is padded.

Best-fit decreasing ("Fewer Truncations Improve Language Modeling", arXiv 2404.10830): a cut answer
teaches to make things up, and a row that starts in the middle of one has lost its question. Knows
token ids and what stands beside them.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.training.batches import Text

IGNORED = -100


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Indices grouped so that the lengths of each group sum to `capacity` at most.

    A length above the capacity counts as the capacity. O(n log n).
    """
    groups: list[list[int]] = []
    free: list[tuple[int, int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        length = min(lengths[index], capacity)
        place = bisect.bisect_left(free, (length, -1))
        if place == len(free):
            groups.append([])
            room, group = capacity, len(groups) - 1
        else:
            room, group = free.pop(place)
        groups[group].append(index)
        bisect.insort(free, (room - length, group))
    return groups


def rows_with_states(texts: Sequence[Text], context: int) -> tuple[Tensor, Tensor]:
    """Packed rows (n, context + 1) with the hidden states (n, context, h) of their places.

    Behind a text's last token there is none: it is zero there.
    """
    groups = pack([len(text.ids) for text in texts], context + 1)
    packed = rows([text.ids for text in texts], context)
    hidden = texts[0].hidden.new_zeros(len(groups), context, texts[0].hidden.shape[1])
    for row, group in zip(hidden, groups, strict=True):
        place = 0
        for states in (texts[index].hidden[:context] for index in group):
            row[place : place + len(states)] = states
            place += len(states) + 1
    return packed, hidden


def rows(chats: Sequence[Sequence[int]], context: int) -> Tensor:
    """Packed rows, (n, context + 1) int64; what is left over holds IGNORED."""
    groups = pack([len(chat) for chat in chats], context + 1)
    packed = torch.full((len(groups), context + 1), IGNORED)
    for row, group in zip(packed, groups, strict=True):
        ids = [i for index in group for i in chats[index][: context + 1]]
        row[: len(ids)] = torch.tensor(ids)
    return packed
