"""Prompt lookup: the tie rules by hand, the index against a scan, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Table, TableTarget, create, session_of

from engine.drafters.base import Context, Room
from engine.errors import BadInput

TARGET = TableTarget(Table(10), eos_id=0)


def drafter_for(ids: list[int], **options: Any) -> tuple[Any, Context]:
    drafter = create("prompt_lookup", TARGET, **options)
    return drafter, session_of(drafter, ids)


def proposal(ids: list[int], budget: int = 64, **given_options: Any) -> list[int]:
    drafter, context = drafter_for(ids, **given_options)
    tree = drafter.propose(context, Room(budget))
    assert tree.parents == tuple(range(-1, len(tree) - 1))
    return list(tree.tokens)


HAND_WORKED: dict[str, tuple[list[int], dict[str, Any], list[int]]] = {
    "what followed the last three tokens": ([1, 2, 3, 9, 8, 1, 2, 3], {}, [9, 8, 1, 2, 3]),
    "the longest match wins over the latest": ([1, 2, 7, 2, 8, 1, 2], {}, [7, 2, 8, 1, 2]),
    "the latest of equal matches": ([1, 7, 1, 8, 1], {}, [8, 1]),
    "or the first": ([1, 7, 1, 8, 1], {"tie": "first"}, [7, 1, 8, 1]),
    "no match": ([1, 2, 3], {}, []),
    "the suffix does not match itself": ([5], {}, []),
    "a match that overlaps the suffix is not unrolled": ([4, 4, 4], {}, [4]),
    "the first match of a loop copies further": ([4, 4, 4, 4], {"tie": "first", "max_ngram": 1}, [4, 4, 4]),
    "matches shorter than asked for do not count": ([1, 2, 9, 2], {"min_ngram": 2}, []),
    "suffixes longer than asked for do not count": ([1, 2, 7, 3, 2, 8, 1, 2], {"max_ngram": 1}, [8, 1, 2]),
    "depth cuts the copy": ([1, 2, 3, 4, 5, 1], {"depth": 2}, [2, 3]),
    "an end of text ends the copy": ([1, 2, 0, 4, 5, 1], {}, [2, 0]),
    "a whole copy comes from further back": ([1, 7, 8, 1, 9, 1], {"depth": 3, "is_whole": True}, [7, 8, 1]),
    "or from a shorter match": ([2, 7, 8, 3, 2, 3, 2], {"depth": 3, "is_whole": True}, [7, 8, 3]),
    "a whole copy that is nowhere": ([1, 7, 1], {"depth": 3, "is_whole": True}, []),
}


@pytest.mark.parametrize("case", HAND_WORKED)
def test_hand_worked(case: str) -> None:
    ids, given_options, wanted = HAND_WORKED[case]
    assert proposal(ids, **given_options) == wanted


def test_the_budget_cuts_the_copy() -> None:
    assert proposal([1, 2, 3, 4, 5, 1], budget=3) == [2, 3, 4]
    assert proposal([1, 2, 3, 4, 5, 1], budget=0) == []


def test_a_shortest_suffix_above_the_longest_is_refused() -> None:
    with pytest.raises(BadInput, match="min_ngram is 5, above max_ngram 3"):
        drafter_for([1], min_ngram=5)


def scanned(ids: list[int], depth: int, max_ngram: int, min_ngram: int, tie: str, *, is_whole: bool) -> list[int]:
    """The same rules by looking at every place."""
    for length in range(max_ngram, min_ngram - 1, -1):
        suffix = ids[len(ids) - length :]
        ends = [end for end in range(length, len(ids)) if ids[end - length : end] == suffix and length < len(ids)]
        ends = [end for end in ends if not is_whole or end + depth <= len(ids)]
        if ends:
            start = ends[-1] if tie == "recent" else ends[0]
            copied = ids[start : start + depth]
            return copied[: copied.index(0) + 1] if 0 in copied else copied
    return []


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=12),
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(0, 2),
    st.sampled_from(["recent", "first"]),
    st.booleans(),
)
def test_the_growing_index_equals_a_scan(
    pieces: list[list[int]], depth: int, min_ngram: int, more: int, tie: str, is_whole: bool
) -> None:
    """The original's rules (first, whole) and transformers' (first, not whole) among them."""
    max_ngram = min_ngram + more
    settings = {"depth": depth, "min_ngram": min_ngram, "max_ngram": max_ngram, "tie": tie, "is_whole": is_whole}
    drafter, context = drafter_for(list(pieces[0]), **settings)
    for piece in [[], *pieces[1:]]:
        context.ids.extend(piece)
        wanted = scanned(context.ids, depth, max_ngram, min_ngram, tie, is_whole=is_whole)
        assert list(drafter.propose(context, Room(64)).tokens) == wanted


class Watched(list[int]):
    """Counts how many tokens are read."""

    num_read = 0

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        self.num_read += len(found) if isinstance(place, slice) else 1
        return found


@pytest.mark.parametrize("num_before", [100, 3000])
def test_a_step_reads_the_new_tokens_and_not_the_whole_context(num_before: int) -> None:
    ids = Watched(i % 50 for i in range(num_before))
    drafter, context = drafter_for(ids)
    drafter.propose(context, Room(10))
    ids.num_read = 0
    ids.extend([1, 2])
    drafter.propose(context, Room(10))
    assert 0 < ids.num_read < 40


def test_a_session_starts_with_an_empty_index() -> None:
    drafter, _ = drafter_for([1, 2, 3, 1, 2])
    other = session_of(drafter, [1])
    assert len(drafter.propose(other, Room(9))) == 0
