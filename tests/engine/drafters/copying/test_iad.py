"""Input-guided decoding: the unique-match rule, every kind of edit, and where the source begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reciter import Reciter, recite
from toys import create, session_of

from engine.drafters.base import Context, Room
from engine.drafters.copying.iad import Iad

SOURCE = list(range(1, 41))
TARGET = Reciter(range(64))


def started(prompt: Sequence[int], **options: Any) -> tuple[Iad, Context]:
    drafter = create("iad", TARGET, **options)
    assert isinstance(drafter, Iad)
    return drafter, session_of(drafter, list(prompt))


def letters(ids: Sequence[int]) -> str:
    return str(TARGET.loaded.tokenizer.decode(ids))


# The unique-match rule


HAND_WORKED: dict[str, tuple[list[int], list[int], list[int]]] = {
    "a token that stands once": ([1, 2, 3, 4, 5], [3], [4, 5]),
    "a token that is not there": ([1, 2, 3, 4, 5], [9], []),
    "a token that stands twice, decided by two": ([1, 2, 3, 7, 2, 4], [7, 2], [4]),
    "and by three": ([5, 1, 2, 3, 6, 1, 2, 4], [6, 1, 2], [4]),
    "undecided by three": ([1, 2, 3, 7, 1, 2, 3, 8], [1, 2, 3], []),
    "two tokens that never met": ([1, 2, 3, 7, 2, 4], [4, 2], []),
    "only the output decides, not the prompt before it": ([7, 2, 4, 2, 5], [2], []),
    "the end of the source": ([1, 2, 3], [3], []),
}


@pytest.mark.parametrize("case", HAND_WORKED)
def test_the_output_is_aligned_by_the_unique_match_rule(case: str) -> None:
    source, output, wanted = HAND_WORKED[case]
    drafter, context = started(source)
    context.ids.extend(output)
    assert list(drafter.propose(context, Room(64)).tokens) == wanted


def brute(source: Sequence[int], output: Sequence[int]) -> int | None:
    for n in (1, 2, 3):
        if n > len(output):
            return None
        ends = [end for end in range(n, len(source) + 1) if list(source[end - n : end]) == list(output[-n:])]
        if len(ends) < 2:
            return ends[0] if ends else None
    return None


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20), st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_alignment_equals_brute_force(source: list[int], output: list[int]) -> None:
    drafter, context = started(source)
    context.ids.extend(output)
    place = brute(source, output)
    assert list(drafter.propose(context, Room(64)).tokens) == ([] if place is None else source[place:])


def test_while_the_output_follows_the_source_an_ambiguous_place_is_no_matter() -> None:
    source = [1, 2, 3, 9, 1, 2, 3, 8]
    drafter, context = started(source)
    context.ids.extend([9])
    assert list(drafter.propose(context, Room(64)).tokens) == [1, 2, 3, 8]
    context.ids.extend([1, 2, 3])
    assert list(drafter.propose(context, Room(64)).tokens) == [8]


# Edits. The output is made of the source; each edit costs a step or two, never the text.


EDITS: dict[str, tuple[list[int], int]] = {
    "a copy": (SOURCE, 0),
    "a substitution": ([*SOURCE[:15], 60, *SOURCE[16:]], 1),
    "a deletion": ([*SOURCE[:15], *SOURCE[18:]], 1),
    "an insertion": ([*SOURCE[:15], 60, 61, *SOURCE[15:]], 1),
    "another order": ([*SOURCE[20:], *SOURCE[:20]], 1),
    "three edits": ([*SOURCE[:8], 60, *SOURCE[9:20], *SOURCE[22:30], 61, *SOURCE[30:]], 3),
}


@pytest.mark.parametrize("edit", EDITS)
def test_steps_are_about_the_number_of_edits(edit: str) -> None:
    """The text is identical (`recite` sees to it). An edit: its own tokens, and one to meet again."""
    output, num_edits = EDITS[edit]
    steps = recite([*SOURCE, 50, *output], len(SOURCE) + 1, "iad", depth=64)
    assert len(steps) <= 2 + 3 * num_edits


# The source


def test_the_source_begins_behind_the_marker() -> None:
    prompt = [50, 51, 52, 53, *SOURCE, 54]
    drafter, context = started(prompt, marker=letters([51, 52]))
    assert list(drafter.propose(context, Room(5)).tokens) == [53, 1, 2, 3, 4], "its beginning is the first draft"
    context.ids.extend([9])
    assert list(drafter.propose(context, Room(2)).tokens) == [10, 11]


def test_a_marker_that_the_prompt_does_not_have_means_the_whole_prompt() -> None:
    drafter, context = started(SOURCE, marker="not there")
    assert len(drafter.propose(context, Room(5))) == 0
    context.ids.extend([9])
    assert list(drafter.propose(context, Room(2)).tokens) == [10, 11]


def test_depth_bounds_the_draft() -> None:
    drafter, context = started(SOURCE, depth=3)
    context.ids.extend([9])
    assert list(drafter.propose(context, Room(64)).tokens) == [10, 11, 12]


def test_the_output_is_no_source() -> None:
    drafter, context = started([1, 2, 3])
    context.ids.extend([8, 9, 8])
    assert len(drafter.propose(context, Room(64))) == 0
