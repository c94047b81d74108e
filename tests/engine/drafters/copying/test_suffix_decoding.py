"""SuffixDecoding: counts against brute force, what is drafted behind which match, and how far counts are believed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reciter import block_efficiency, prose, recite
from toys import Table, TableTarget, create, session_of

from engine.config import GenerationConfig
from engine.drafters import corpus
from engine.drafters.base import Context, Room
from engine.drafters.copying._automaton import Cursor, SuffixAutomaton
from engine.drafters.copying._reach import Agreement
from engine.drafters.copying.suffix_decoding.candidates import MOST_MATCHED, Candidate, Limits, Source, best
from engine.drafters.copying.suffix_decoding.trust import Trust
from engine.noise import Noise
from engine.tree import DraftTree

TARGET = TableTarget(Table(10), eos_id=9)
texts = st.lists(st.integers(0, 2), min_size=1, max_size=40)
LIMITS = Limits(factor=1.0, offset=0.0, least=0.1, depth=24, nodes=64, is_path=False)


def proposed(ids: Sequence[int], room: Room | None = None, **options: Any) -> DraftTree:
    drafter = create("suffix_decoding", TARGET, **options)
    context = session_of(drafter, list(ids))
    return drafter.propose(context, room or Room(64))


def source(text: Sequence[int]) -> Source:
    automaton = SuffixAutomaton(counts=True)
    cursor = Cursor(automaton)
    for token in text:
        cursor.advance(token)
        automaton.append(token)
        cursor.settle()
    return Source(cursor, automaton.count)


def num_of(piece: Sequence[int], text: Sequence[int]) -> int:
    return sum(list(text[i : i + len(piece)]) == list(piece) for i in range(len(text) - len(piece) + 1))


@given(texts)
def test_counts_are_kept_as_the_text_grows(text: list[int]) -> None:
    automaton = SuffixAutomaton(counts=True)
    for token in text:
        automaton.append(token)
        assert automaton.count == [0, *automaton.occurrences()[1:]]


@given(texts)
def test_a_node_has_the_share_of_what_followed_its_match(text: list[int]) -> None:
    """Brute force: of each token on the path, how often it followed what stands before it."""
    found = best([source(text)], LIMITS)
    if found is None:
        assert not any(num_of(text[-n:], text[:-1]) for n in range(1, len(text)))
        return
    tree = DraftTree(tuple(found.tokens), tuple(found.parents))
    for node, share in enumerate(found.shares):
        before, wanted = text[len(text) - found.match :], 1.0
        for token in (tree.tokens[i] for i in tree.path_to(node)):
            wanted *= num_of([*before, token], text) / sum(num_of([*before, other], text) for other in range(3))
            before = [*before, token]
        assert share == pytest.approx(wanted)
        assert share >= LIMITS.least
    assert found.shares == sorted(found.shares, reverse=True), "best first"
    assert len(found.tokens) <= found.match


@given(texts)
def test_no_length_of_match_offers_a_better_score(text: list[int]) -> None:
    own = source(text)
    found = best([own], LIMITS)
    for length in range(1, len(text)):
        if not num_of(text[-length:], text[:-1]):
            break
        assert found is not None
        # the likeliest token behind a match of this length, alone
        counts = [num_of([*text[-length:], token], text) for token in range(3)]
        if sum(counts):
            assert found.score >= max(counts) / sum(counts) - 1e-9


HAND_WORKED: dict[str, tuple[list[int], dict[str, Any], tuple[list[int], list[int]]]] = {
    "as many as are matched": ([1, 2, 3, 4, 5, 6, 1, 2, 3], {}, ([4, 5, 6], [-1, 0, 1])),
    "half as many": ([1, 2, 3, 4, 5, 6, 1, 2, 3], {"factor": 0.5}, ([4], [-1])),
    "and two beside": ([1, 2, 3, 4, 5, 6, 1, 2, 3], {"offset": 2.0}, ([4, 5, 6, 1, 2], [-1, 0, 1, 2, 3])),
    "no deeper than asked": ([1, 2, 3, 4, 5, 6, 1, 2, 3], {"depth": 2}, ([4, 5], [-1, 0])),
    "branches, the oftener first": ([7, 1, 2, 7, 1, 3, 7, 1, 3, 7, 1], {"offset": 1.0}, ([3, 7, 1], [-1, 0, 1])),
    "a path": ([1, 2, 0, 1, 3, 0, 1, 3, 0, 1], {"tree": "path", "offset": 1.0}, ([3, 0, 1], [-1, 0, 1])),
    "no match": ([1, 2, 3], {}, ([], [])),
    "a score too low": ([1, 2, 3, 4, 5, 6, 1, 2, 3], {"min_score": 3.5}, ([], [])),
    "a score just high enough": ([1, 2, 3, 4, 5, 6, 1, 2, 3], {"min_score": 3.0}, ([4, 5, 6], [-1, 0, 1])),
    "nothing behind an end of text": ([1, 2, 9, 4, 1, 2], {"offset": 4.0}, ([9], [-1])),
}


@pytest.mark.parametrize("case", HAND_WORKED)
def test_drafts_worked_out_by_hand(case: str) -> None:
    ids, options, (tokens, parents) = HAND_WORKED[case]
    tree = proposed(ids, **options)
    assert (list(tree.tokens), list(tree.parents)) == (tokens, parents)


def test_both_ways_stand_in_a_tree_and_only_one_on_a_path() -> None:
    text = [1, 2, 5, 1, 3, 6, 1]
    tree = proposed(text, offset=3.0)
    assert {tree.tokens[i] for i, parent in enumerate(tree.parents) if parent == -1} == {2, 3}
    path = proposed(text, offset=3.0, tree="path")
    assert path.parents == tuple(range(-1, len(path) - 1))


def test_the_room_is_kept() -> None:
    text = [1, 2, 3, 4, 5, 6, 1, 2, 3]
    assert proposed(text, Room(2)).tokens == (4, 5)
    assert proposed(text, Room(64, 1)).tokens == (4,)
    assert proposed(text, Room(64, 0)).tokens == ()


def test_past_answers_are_drafted_and_this_text_goes_first(tmp_path: Path) -> None:
    file = tmp_path / "past.npz"
    corpus.save(file, [1, 2, 3, 4, 5, 6, 7], TARGET.facts)
    assert proposed([8, 3, 4], corpus=str(file)).tokens == (5, 6)
    assert proposed([3, 4, 8, 3, 4], corpus=str(file)).tokens == (8, 3), "equal scores: this text's"


def test_two_sessions_share_past_answers_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "past.npz"
    corpus.save(file, [1, 2, 3, 4], TARGET.facts)
    one, other = (create("suffix_decoding", TARGET, corpus=str(file)) for _ in range(2))
    for drafter, ids in ((one, [5, 6, 5]), (other, [7, 5])):
        drafter.start(Context(ids, GenerationConfig(), Noise(0)))
    assert other.propose(other.context, Room(64)).tokens == ()
    assert one.propose(one.context, Room(64)).tokens == (6,)


def test_a_text_read_again_is_drafted_nearly_whole() -> None:
    """Behind each match as many nodes as tokens match: the draft doubles from step to step, up to its depth."""
    poem = prose(60)
    assert block_efficiency(recite([*poem, *poem, *poem], 63, "suffix_decoding", budget="fixed")) > 8


# How far counts are believed


def candidate(shares: Sequence[float], match: int = 3) -> Candidate:
    """A chain of tokens 0, 1, 2 …"""
    size = len(shares)
    return Candidate(match, list(range(size)), list(range(-1, size - 1)), list(shares), list(range(1, size + 1)))


def test_where_rows_are_free_everything_is_drafted() -> None:
    assert Trust().num_paying(candidate([0.9, 0.5, 0.1])) == 3


def test_no_more_is_drafted_than_pays() -> None:
    """Behind 16 tokens that agree 0.97 are believed: (1 + 0.97) / 1.5 beats 1 and (1 + 0.97 + 0.47) / 2."""
    trust = Trust([1.0, 1.5, 2.0, 2.5])
    assert trust.num_paying(candidate([1.0, 0.5, 0.1], match=16)) == 1
    assert trust.num_paying(candidate([0.4, 0.3, 0.1], match=16)) == 0
    assert trust.num_paying(candidate([1.0, 0.5, 0.1], match=1)) == 0, "behind one token 0.2 are"


def test_counts_that_do_not_come_true_are_believed_less_and_again_when_they_do() -> None:
    trust = Trust([1.0, 1.3, 1.6, 1.9])
    for _ in range(20):
        trust.num_paying(candidate([0.9, 0.8], match=16))
        trust.learn([7])
    assert trust.num_paying(candidate([0.9, 0.8], match=16)) == 0
    for _ in range(80):
        trust.num_paying(candidate([0.9, 0.8], match=16))
        trust.learn([0])  # a plain step: nothing was drafted, and yet the first token was right
    assert trust.num_paying(candidate([0.9, 0.8], match=16)) == 2


def test_what_is_learnt_is_what_was_promised_at_each_depth_that_was_reached() -> None:
    """Depth 1: 0.8 and it came; depth 2: 0.4 of those 0.8, and another token came; nothing of depth 3."""
    learnt: list[tuple[int, float, bool]] = []

    class Watched(Agreement):
        def learn(self, agreed: int, expected: float, *, is_right: bool) -> None:
            learnt.append((agreed, expected, is_right))

    trust = Trust()
    trust._agreement = Watched()
    trust.num_paying(candidate([0.8, 0.4, 0.4]))
    trust.learn([0, 9, 2])
    assert learnt == [(3, 0.8, True), (4, 0.5, False)]


def test_a_text_that_goes_round_is_searched_at_few_lengths() -> None:
    asked: list[int] = []

    class Watched(Limits):
        def nodes_for(self, match: int) -> int:
            asked.append(match)
            return super().nodes_for(match)

    found = best([source([1] * 500)], Watched(1.0, 0.0, 0.1, 24, 64, is_path=False))
    assert found is not None
    assert len(found.tokens) == 24
    assert len(set(asked)) <= MOST_MATCHED + 1


def test_equal_scores_go_to_the_longer_match() -> None:
    own = source([5, 1, 2, 6, 1, 2])
    found = best([own], LIMITS)
    assert found is not None
    assert np.isclose(found.score, 2.0)
    assert found.match == 2
