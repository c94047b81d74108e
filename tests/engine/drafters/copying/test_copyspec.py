"""CopySpec: which block is copied, the rolling hash against a scan, and how often it tries and succeeds."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reciter import block_efficiency, prose, recite
from toys import Table, TableTarget, create, session_of

from engine.drafters.base import Context, Room
from engine.drafters.copying.copyspec import RollingIndex

TARGET = TableTarget(Table(10), eos_id=0)


def drafter_for(ids: list[int], **options: Any) -> tuple[Any, Context]:
    drafter = create("copyspec", TARGET, **options)
    return drafter, session_of(drafter, ids)


HAND_WORKED: dict[str, tuple[list[int], dict[str, Any], list[int]]] = {
    "what followed the last three tokens": ([1, 2, 3, 9, 8, 1, 2, 3], {}, [9, 8, 1, 2, 3]),
    "the first of equal matches": ([1, 2, 7, 1, 2, 8, 1, 2], {"gamma": 2}, [7, 1, 2, 8, 1, 2]),
    "or the latest": ([1, 2, 7, 1, 2, 8, 1, 2], {"gamma": 2, "tie": "recent"}, [8, 1, 2]),
    "fewer equal tokens than gamma are no match": ([1, 2, 7, 1, 2], {}, []),
    "nothing matches itself": ([1, 2, 3], {}, []),
    "a match may overlap the suffix": ([4, 4, 4, 4], {}, [4]),
    "a text shorter than gamma": ([4], {}, []),
    "depth cuts the block": ([1, 2, 3, 4, 5, 6, 1, 2, 3], {"depth": 2}, [4, 5]),
    "an end of text ends the block": ([1, 2, 3, 4, 0, 6, 1, 2, 3], {}, [4, 0]),
}


@pytest.mark.parametrize("case", HAND_WORKED)
def test_hand_worked(case: str) -> None:
    ids, given_options, wanted = HAND_WORKED[case]
    drafter, context = drafter_for(ids, **given_options)
    tree = drafter.propose(context, Room(64))
    assert list(tree.tokens) == wanted
    assert tree.parents == tuple(range(-1, len(tree) - 1))


@given(
    st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=4), min_size=1, max_size=12),
    st.integers(1, 4),
    st.sampled_from(["first", "recent"]),
)
def test_the_rolling_hash_equals_a_scan(pieces: list[list[int]], gamma: int, tie: str) -> None:
    drafter, context = drafter_for(list(pieces[0]), gamma=gamma, tie=tie, depth=5)
    for piece in [[], *pieces[1:]]:
        context.ids.extend(piece)
        ids = context.ids
        ends = [end for end in range(gamma, len(ids)) if ids[end - gamma : end] == ids[-gamma:]]
        start = None if not ends else ends[0] if tie == "first" else ends[-1]
        assert list(drafter.propose(context, Room(64)).tokens) == ([] if start is None else ids[start : start + 5])


def test_equal_hashes_of_other_tokens_copy_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything collides: only a block behind truly equal tokens is proposed, and the text stays."""
    monkeypatch.setattr("engine.drafters.copying.copyspec.PRIME", 1)
    drafter, context = drafter_for([1, 2, 3, 9, 8, 7])
    assert not drafter.propose(context, Room(9))
    text = prose(300)
    recite((*text[:60], *text[:60]), 60, "copyspec")


def test_a_verbatim_repeat_is_copied_eleven_tokens_a_step() -> None:
    steps = recite((*range(100, 400), *range(100, 400)), 303, "copyspec")
    assert block_efficiency(steps) > 10.5
    assert max(len(step.emitted) for step in steps) == 11


def test_a_longer_gamma_tries_less_often_and_succeeds_more_often() -> None:
    rng = random.Random(1)
    phrases = [[rng.randrange(12) for _ in range(10)] for _ in range(20)]
    text = [token for _ in range(120) for token in rng.choice(phrases)]
    rates = []
    for gamma in (1, 2, 4):
        steps = recite(text, 200, "copyspec", gamma=gamma)
        tried = [step for step in steps if step.nodes]
        rates.append((len(tried) / len(steps), sum(bool(step.path) for step in tried) / len(tried)))
    attempts, successes = zip(*rates, strict=True)
    assert sorted(attempts, reverse=True) == list(attempts)
    assert sorted(successes) == list(successes)


def test_a_chat_that_repeats_itself_goes_faster_with_every_turn() -> None:
    answer = prose(120, seed=2)
    turns = [(*answer[:40], 60 + turn % 4, *answer[40:]) for turn in range(3)]
    text = tuple(token for turn in turns for token in turn)
    steps = recite(text, 20, "copyspec")
    num_turn = len(turns[0])
    emitted, per_turn = 20, [0, 0, 0]
    for step in steps:
        per_turn[min(emitted // num_turn, 2)] += 1
        emitted += len(step.emitted)
    assert per_turn[0] > 2 * per_turn[1] >= per_turn[2]


def test_the_hash_is_kept_by_the_new_tokens_alone() -> None:
    index = RollingIndex(3)
    text = list(prose(400))
    for end in range(1, 400):
        index.extend(text[:end])
    whole = RollingIndex(3)
    whole.extend(text[:399])
    assert (index.hash, index.first, index.last) == (whole.hash, whole.first, whole.last)
