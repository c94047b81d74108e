"""SAM-Decoding: the automaton against brute force, whom it copies and how much, and the corpus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reciter import block_efficiency, prose, recite
from toys import Table, TableTarget, create, session_of

from engine.config import GenerationConfig
from engine.drafters import corpus
from engine.drafters.base import Context, Room
from engine.drafters.copying._automaton import Cursor, SuffixAutomaton
from engine.drafters.copying._corpus import BRANCHING, StaticAutomaton
from engine.drafters.copying.sam_decoding import SamDecoding
from engine.errors import BadInput
from engine.noise import Noise

TARGET = TableTarget(Table(10), eos_id=9)
texts = st.lists(st.integers(0, 2), min_size=1, max_size=60)


def proposed(ids: Sequence[int], budget: int = 64, **options: Any) -> Any:
    drafter = create("sam_decoding", TARGET, **options)
    assert isinstance(drafter, SamDecoding)
    context = session_of(drafter, list(ids))
    return drafter.propose(context, Room(budget))


def longest(text: Sequence[int], suffix_of: Sequence[int]) -> tuple[int, list[int]]:
    """Length of the longest suffix that occurs in a text, and the places where it ends."""
    for length in range(len(suffix_of), 0, -1):
        ends = [e for e in range(length, len(text) + 1) if list(text[e - length : e]) == list(suffix_of[-length:])]
        if ends:
            return length, ends
    return 0, []


# The automaton


@given(texts)
def test_the_match_equals_brute_force_at_every_place(text: list[int]) -> None:
    automaton = SuffixAutomaton(tracks_last=True)
    cursor = Cursor(automaton)
    for place, token in enumerate(text):
        cursor.advance(token)
        length, ends = longest(text[:place], text[: place + 1])
        assert cursor.length == length, "the earlier text alone counts: nothing matches itself"
        if length:
            assert automaton.first_end[cursor.state] == ends[0]
            assert automaton.last_end[cursor.state] == ends[-1]
        automaton.append(token)
        cursor.settle()
        assert automaton.length[automaton.link[cursor.state]] < cursor.length or cursor.state == 0


@given(texts, texts)
def test_a_cursor_in_a_finished_text_equals_brute_force(corpus: list[int], text: list[int]) -> None:
    automaton = SuffixAutomaton()
    automaton.extend(corpus)
    cursor = Cursor(automaton)
    for place, token in enumerate(text):
        cursor.advance(token)
        assert cursor.length == longest(corpus, text[: place + 1])[0]


@given(texts)
def test_counts_are_those_of_the_substrings(text: list[int]) -> None:
    automaton = SuffixAutomaton()
    automaton.extend(text)
    counts = automaton.occurrences()
    for start in range(len(text)):
        state = 0
        for end in range(start + 1, len(text) + 1):
            state = automaton.next[state][text[end - 1]]
            piece = text[start:end]
            assert counts[state] == sum(text[i : i + len(piece)] == piece for i in range(len(text)))


class Watched(list[int]):
    """Counts reads."""

    num_read = 0

    def __getitem__(self, place: Any) -> Any:
        self.num_read += 1
        return super().__getitem__(place)


@pytest.mark.parametrize("text", [prose(4000), (1, 2) * 2000, (1,) * 4000], ids=["prose", "loop", "one token"])
def test_reading_takes_a_bounded_number_of_turns_a_token(text: Sequence[int]) -> None:
    automaton = SuffixAutomaton()
    automaton.link = links = Watched(automaton.link)
    cursor = Cursor(automaton)
    for token in text:
        cursor.advance(token)
        automaton.append(token)
        cursor.settle()
    assert links.num_read < 8 * len(text)
    assert len(automaton.next) <= 2 * len(text)


# Drafts


HAND_WORKED: dict[str, tuple[list[int], dict[str, Any], list[int]]] = {
    "what followed the longest match": ([1, 2, 3, 4, 5, 7, 3, 6, 1, 2, 3], {"depth": 3}, [4, 5, 7]),
    "the latest of equal matches": ([1, 7, 1, 8, 1], {"depth": 2}, [8, 1]),
    "or the first": ([1, 7, 1, 8, 1], {"depth": 2, "tie": "first"}, [7, 1]),
    "a loop is unrolled": ([5, 1, 2, 1, 2], {"depth": 5}, [1, 2, 1, 2, 1]),
    "one token over and over": ([4, 4], {"depth": 4}, [4, 4, 4, 4]),
    "no match": ([1, 2, 3], {}, []),
    "a match shorter than asked for": ([1, 2, 3, 1, 2], {"min_match": 3}, []),
    "a match just long enough": ([1, 2, 3, 1, 2], {"min_match": 2, "depth": 2}, [3, 1]),
    "an end of text ends the copy": ([1, 2, 9, 3, 4, 1], {}, [2, 9]),
}


@pytest.mark.parametrize("case", HAND_WORKED)
def test_hand_worked(case: str) -> None:
    ids, options, wanted = HAND_WORKED[case]
    tree = proposed(ids, **options)
    assert list(tree.tokens) == wanted
    assert tree.parents == tuple(range(-1, len(tree) - 1))


@pytest.mark.parametrize(("alpha", "match", "wanted"), [(0, 5, 1), (1, 5, 6), (1.5, 3, 5), (4, 2, 9), (4, 9, 16)])
def test_the_budget_grows_with_the_match(alpha: float, match: int, wanted: int) -> None:
    ids = [*range(8), *range(8), *range(8), *range(8)]
    repeated = [*ids, 8, *ids[:match]] if match < 8 else [*ids, 8, *ids]
    assert len(proposed(repeated, alpha=alpha)) == wanted
    assert len(proposed(repeated, budget=2, alpha=alpha)) == min(wanted, 2)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=40), st.sampled_from(["first", "recent"]))
def test_the_draft_follows_the_matched_place(ids: list[int], tie: str) -> None:
    length, ends = longest(ids[:-1], ids)
    tree = proposed(ids, tie=tie, depth=6)
    if not length:
        assert not tree
        return
    start = ends[0] if tie == "first" else ends[-1]
    unrolled = list(ids)
    for offset in range(6):
        unrolled.append(unrolled[start + offset])
    assert list(tree.tokens) == unrolled[len(ids) :][: min(6, 1 + 4 * length)]


def test_a_repeat_is_recited_in_few_steps() -> None:
    assert block_efficiency(recite((*range(100, 400), *range(100, 400)), 303, "sam_decoding")) > 13


# The corpus


def write_ids(folder: Path, ids: Sequence[int], target: TableTarget = TARGET) -> str:
    file = folder / "corpus.npz"
    corpus.save(file, ids, target.loaded)
    return str(file)


def test_the_corpus_drafts_when_its_match_is_longer_by_the_bias(tmp_path: Path) -> None:
    corpus = write_ids(tmp_path, [0, 1, 2, 3, 4, 5, 6])
    context = [4, 8, 1, 2, 3, 4]  # matches 1 token of itself and 4 of the corpus
    assert proposed(context, corpus=corpus, static_bias=3).tokens[0] == 8, "4 - 3 = 1: ties to the context"
    assert proposed(context, corpus=corpus, static_bias=2).tokens[0] == 5
    assert not proposed([1, 2, 3], corpus=corpus, static_bias=1, min_match=3)
    assert list(proposed([1, 2, 3], corpus=corpus, static_bias=0, min_match=3, depth=2).tokens) == [4, 5]


@given(texts)
def test_shares_of_a_states_successors_sum_to_one_at_most(text: list[int]) -> None:
    static = StaticAutomaton(text)
    for state in range(len(static.counts)):
        shares = [share for share, _, _ in static.successors(state)]
        assert sum(shares) <= 1 + 1e-9 or state == 0
        assert shares == sorted(shares, reverse=True)


def test_the_tree_of_the_corpus_is_best_first(tmp_path: Path) -> None:
    corpus = write_ids(tmp_path, [1, 2, 3, 0] * 5 + [1, 4, 5, 0] * 4 + [1, 6])
    tree = proposed([7, 1], corpus=corpus, static_bias=0, depth=6, alpha=6.0)
    assert (tree.tokens, tree.parents) == ((2, 3, 0, 1, 4, 5), (-1, 0, 1, 2, -1, 4))


def test_no_depth_of_the_corpus_tree_is_wider_than_allowed(tmp_path: Path) -> None:
    corpus = write_ids(tmp_path, [token for a in range(1, 9) for b in range(9) for token in (0, a, b)])
    tree = proposed([0], corpus=corpus, static_bias=0, alpha=16.0, depth=64)
    assert max(tree.depths.count(depth) for depth in set(tree.depths)) <= BRANCHING


def test_a_text_file_is_read_with_the_targets_tokenizer(tmp_path: Path) -> None:
    file = tmp_path / "corpus.txt"
    file.write_text("abcde", encoding="utf-8")
    tree = proposed([1, 2], corpus=str(file), static_bias=0)
    assert list(tree.tokens) == [3, 4, 9], "and ends with an end of text"
    file.write_text("abcad", encoding="utf-8")
    assert list(proposed([1, 2], corpus=str(file), static_bias=0, depth=2).tokens) == [0, 3], (
        "a changed file is read anew"
    )
    file.write_text("abced", encoding="utf-8-sig")
    assert list(proposed([0, 1], corpus=str(file), static_bias=0, depth=2).tokens) == [2, 4], "no byte order mark in it"


def test_a_corpus_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no corpus file '/nowhere\.txt'"):
        create("sam_decoding", TARGET, corpus="/nowhere.txt")
    for name, content in (("empty.txt", b""), ("blank.txt", b" \n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match=rf"{name} is empty"):
            create("sam_decoding", TARGET, corpus=str(tmp_path / name))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not UTF-8"):
        create("sam_decoding", TARGET, corpus=str(tmp_path / "binary.txt"))
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    with pytest.raises(BadInput, match="no file of corpus ids"):
        create("sam_decoding", TARGET, corpus=str(tmp_path / "broken.npz"))
    with pytest.raises(BadInput, match="is empty"):
        create("sam_decoding", TARGET, corpus=write_ids(tmp_path, []))


def test_a_corpus_of_another_tokenizer_is_refused(tmp_path: Path) -> None:
    corpus = write_ids(tmp_path, [1, 2, 3], TableTarget(Table(12)))
    with pytest.raises(BadInput, match="by another tokenizer"):
        create("sam_decoding", TARGET, corpus=corpus)


def test_a_corpus_too_large_for_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "MAX_TOKENS", 3)
    with pytest.raises(BadInput, match="4 tokens; at most 3"):
        create("sam_decoding", TARGET, corpus=write_ids(tmp_path, [1, 2, 3, 4]))


def test_a_session_leaves_the_corpus_as_it_was(tmp_path: Path) -> None:
    text = prose(120)
    corpus = write_ids(tmp_path, [1, 2, 3, 1, 2])
    first, second = (create("sam_decoding", TARGET, corpus=corpus) for _ in range(2))
    assert isinstance(first, SamDecoding)
    assert isinstance(second, SamDecoding)
    assert first._corpus is second._corpus, "built once"
    assert first._corpus is not None
    before = len(first._corpus.automaton.tokens)
    first.start(Context(list(text), GenerationConfig(), Noise(0)))
    assert len(first._corpus.automaton.tokens) == before
