"""How far copying pays: by how many tokens agree, by what copies were right, and by what rows cost."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reciter import Reciter, prose, recite

from engine import drafters
from engine.drafters import Costs
from engine.drafters.copying._reach import FIRST_SHARES, MAX_AGREED, SPANS, Reach, agreement
from engine.events import Stepped

CPU = [max(1.0, 0.65 + 0.19 * (n + 1)) for n in range(129)]
"""A pass of n + 1 rows of SmolLM2-135M on two cores without AMX ÷ one of one row (docs/log.md, 2026-11-30)."""
COPYING = ["copyspec", "iad", "prompt_lookup", "sam_decoding"]
every_copying_method = pytest.mark.parametrize("name", COPYING)


def size(reach: Reach, agreed: int, most: int = 15) -> int:
    """How much of a copy is drafted."""
    return len(reach.draft(range(most), agreed, most))


def told(reach: Reach, agreed: int, num_right: int, times: int = 1) -> None:
    """Copies of fifteen tokens, of which so many are right."""
    for _ in range(times):
        reach.draft(range(15), agreed, 15)
        reach.learn([*range(num_right), -1])


def seconds(steps: list[Stepped]) -> float:
    """In passes of one row."""
    return sum(CPU[len(step.nodes)] for step in steps)


def test_before_anything_is_known_a_longer_match_is_copied_further() -> None:
    found = [size(Reach(CPU), agreed) for agreed in range(MAX_AGREED + 5)]
    assert found[1:] == sorted(found[1:])
    assert found[1] <= 1
    assert found[MAX_AGREED] >= 12
    assert len(SPANS) == len(FIRST_SHARES)


def test_free_rows_are_taken_whatever_was_refused() -> None:
    reach = Reach()
    told(reach, 1, 0, times=200)
    assert size(reach, 1) == 15


def test_as_many_are_copied_as_there_are_and_as_there_is_room_for() -> None:
    assert len(Reach().draft([1, 2, 3], 4, 15)) == 3
    assert len(Reach().draft([1, 2, 3], 4, 2)) == 2
    assert len(Reach().draft([1, 2, 3], 4, 0)) == 0
    assert len(Reach([1.0, 1.0]).draft([1, 2, 3], 4, 15)) == 1, "of more rows nothing is known"


def test_copies_that_were_wrong_are_left_and_those_that_would_have_been_right_are_taken_up_again() -> None:
    reach = Reach(CPU)
    told(reach, 4, 0, times=60)
    assert size(reach, 4) <= 1
    assert size(reach, MAX_AGREED) >= 12, "nothing was said of longer matches"
    for _ in range(40):
        copied = reach.draft(range(15), 4, 15)
        reach.learn([0])  # a step that drafts none emits one token, and the copy had it
        assert len(copied) <= 15
    assert size(reach, 4) >= 2


def test_what_a_copy_reached_tells_of_the_matches_that_it_passed() -> None:
    reach = Reach(CPU)
    told(reach, 2, 3, times=60)
    assert size(reach, 2) == 3
    assert size(reach, 5) <= 1, "at five that agree it went wrong each time"


def test_behind_the_first_wrong_token_nothing_is_learnt() -> None:
    """Where another's drafts were accepted, tokens behind may agree by chance; nobody had come so far."""
    reach, places = Reach(CPU), range(MAX_AGREED)
    told(reach, 4, 6, times=20)
    for _ in range(60):
        reach.draft(range(15), 4, 15)
        reach.learn([-1])
    other = Reach(CPU)
    told(other, 4, 6, times=20)
    for _ in range(60):
        other.draft(range(15), 4, 15)
        other.learn([-1, *range(1, 15)])
    assert (other._agreement.shares(places) == reach._agreement.shares(places)).all()


def test_another_drafters_step_teaches_too() -> None:
    """Nothing was copied, and several tokens were emitted."""
    reach = Reach([1.0 + 5 * n for n in range(129)])
    for _ in range(60):
        assert size(reach, 2) == 0
        reach.learn([0, 1, 2, 3])
    cheap = Reach(CPU)
    cheap._agreement = reach._agreement
    assert size(cheap, 2) > size(Reach(CPU), 2)


@given(st.lists(st.integers(0, 1), max_size=30), st.lists(st.integers(0, 1), max_size=30), st.data())
def test_agreement_is_the_common_suffix(source: list[int], text: list[int], data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(source)))
    wanted = 0
    while wanted < MAX_AGREED and source[:end][-1 - wanted :] == text[-1 - wanted :] != []:
        if wanted + 1 > min(end, len(text)):
            break
        wanted += 1
    assert agreement(source, end, text) == wanted


@every_copying_method
def test_where_nothing_is_right_next_to_nothing_is_lost(name: str) -> None:
    """Tokens at random: each stood before, and nothing follows from it."""
    rng = random.Random(4)
    text = [rng.randrange(1, 60) for _ in range(700)]
    steps = recite(text, 500, drafters.create(name, {}, Reciter(text), Costs.known(CPU)))
    assert 200 / seconds(steps) > 0.97


@every_copying_method
def test_what_is_right_for_long_is_copied_as_far_as_the_whole_budget_does(name: str) -> None:
    text = [*prose(150), *prose(150)]
    speeds = [
        140 / seconds(recite(text, 160, drafters.create(name, {"budget": budget}, Reciter(text), Costs.known(CPU))))
        for budget in ("measured", "fixed")
    ]
    assert speeds[0] > 0.97 * speeds[1] > 1.5
