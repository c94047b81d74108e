"""Which chunks of a long text tell most of what comes next: BM25 over token ids, the recent text asking.

Knows token ids only: no words, no embedding, nothing to download.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

SATURATION, LENGTH_WEIGHT = 1.2, 0.75
"""BM25's usual k1 and b."""


def scores(chunks: Sequence[Sequence[int]], query: Sequence[int]) -> list[float]:
    """BM25 of each chunk; a token counts as often as the query has it. With the logarithm that is never negative."""
    counts = [Counter(chunk) for chunk in chunks]
    mean = sum(map(len, chunks)) / max(1, len(chunks))
    found = [0.0] * len(chunks)
    for token, times in Counter(query).items():
        holders = [place for place, count in enumerate(counts) if token in count]
        weight = times * math.log(1 + (len(chunks) - len(holders) + 0.5) / (len(holders) + 0.5))
        for place in holders:
            often, length = counts[place][token], len(chunks[place]) / mean
            often_enough = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * length)
            found[place] += weight * often * (SATURATION + 1) / (often + often_enough)
    return found


def shortened(ids: Sequence[int], budget: int, chunk: int, recent: int) -> list[int]:
    """A text of at most `budget` tokens: its beginning, the chunks that fit its end best, and its end, in their order.

    The end, `recent` tokens and what makes the rest whole chunks, asks; the first chunk stays, as models lean on it.
    A text that is short enough stays whole.
    """
    if len(ids) <= budget:
        return list(ids)
    num_chunks = max(0, len(ids) - min(recent, budget)) // chunk
    chunks = [ids[start : start + chunk] for start in range(0, num_chunks * chunk, chunk)]
    end = list(ids[num_chunks * chunk :])[-budget:]
    num_kept = (budget - len(end)) // chunk
    if num_kept < 1 or not chunks:
        return end
    found = scores(chunks[1:], end)
    best = sorted(range(1, len(chunks)), key=lambda place: (-found[place - 1], -place))[: num_kept - 1]
    return [token for place in sorted([0, *best]) for token in chunks[place]] + end
