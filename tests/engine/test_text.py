"""Streamed pieces concatenate to the decoded text, whatever the tokens split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from toys import LetterTokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from vocabularies import USER, byte_fallback, byte_ids, ids_of

from engine.models import ASSETS
from engine.text import Detokenizer, StopTexts, TokenTexts

CHARACTERS = st.characters(codec="utf-8") | st.sampled_from("😀🏳️‍🌈éß漢字 \n\u202e\u200d<&")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(ASSETS / "models" / "story-target")
    return found


def pieces_of(tokenizer: PreTrainedTokenizerBase, ids: list[int], context: list[int]) -> list[str]:
    detokenizer = Detokenizer(tokenizer)
    detokenizer.prime(context)
    return [*(detokenizer.add(token) for token in ids), detokenizer.flush()]


@given(st.text(CHARACTERS, max_size=30), st.text(CHARACTERS, max_size=8))
@example("\ufffd😀 and on", "")
@example("😀" * 5, "é")
def test_pieces_concatenate_to_the_text(tokenizer: PreTrainedTokenizerBase, text: str, before: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    context = tokenizer(before, add_special_tokens=False)["input_ids"]
    assert "".join(pieces_of(tokenizer, ids, context)) == text


@given(st.lists(st.integers(0, 4095), max_size=20))
def test_any_tokens_stream_without_a_fault(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> None:
    words = [i for i in ids if i not in tokenizer.all_special_ids]
    decoded = str(tokenizer.decode(words, clean_up_tokenization_spaces=False))
    streamed = "".join(pieces_of(tokenizer, ids, []))
    # Bytes that are no character may be told apart from their neighbours; characters never change.
    assert streamed.replace("\ufffd", "") == decoded.replace("\ufffd", "") or "\ufffd" in decoded


def test_a_character_comes_with_the_token_that_completes_it(tokenizer: PreTrainedTokenizerBase) -> None:
    ids = tokenizer("a😀b", add_special_tokens=False)["input_ids"]
    pieces = pieces_of(tokenizer, ids, [])
    assert len(ids) == 6
    assert pieces == ["a", "", "", "", "😀", "b", ""]


def test_special_tokens_add_nothing(tokenizer: PreTrainedTokenizerBase) -> None:
    ids = tokenizer("on<|end|>ce", add_special_tokens=False)["input_ids"]
    assert tokenizer.eos_token_id in ids
    assert "".join(pieces_of(tokenizer, ids, [])) == "once"


def test_an_unfinished_character_is_flushed_at_the_end(tokenizer: PreTrainedTokenizerBase) -> None:
    ids = tokenizer("a😀", add_special_tokens=False)["input_ids"][:-1]
    assert "".join(pieces_of(tokenizer, ids, [])) == "a\ufffd"


class ByteTokenizer(LetterTokenizer):
    """A letter and the first byte of é; its second byte; two letters; the end."""

    BYTES = (b"a\xc3", b"\xa9", b"bc", b"")

    def __init__(self) -> None:
        super().__init__(len(self.BYTES), eos_id=3)

    def decode(self, ids: Iterable[int], **kwargs: Any) -> str:
        return b"".join(self.BYTES[i] for i in ids).decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("ids", "pieces"),
    [([0, 1, 2], ["a", "é", "bc"]), ([0, 3, 2], ["a", "\ufffd", "bc"]), ([0, 3, 0, 1], ["a", "\ufffd", "a", "é"])],
)
def test_a_piece_behind_half_a_character_is_whole(ids: list[int], pieces: list[str]) -> None:
    assert pieces_of(cast(PreTrainedTokenizerBase, ByteTokenizer()), ids, []) == [*pieces, ""]


def test_single_tokens_have_their_own_text() -> None:
    texts = TokenTexts(LetterTokenizer(5))  # type: ignore[arg-type]
    assert [texts[i] for i in range(5)] == list("abcde")


# Tokenizers that fall back to bytes


@pytest.mark.parametrize("text", ["漢", "😀", "a😀😀the", "漢字漢字", "the é the", "\ufffd", "on 漢\na the"])
def test_characters_without_a_token_come_whole_from_their_bytes(text: str) -> None:
    tokenizer = byte_fallback()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    pieces = pieces_of(tokenizer, ids, [])
    assert "".join(pieces).removeprefix(" ") == text
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text


def test_the_bytes_of_a_character_add_nothing_until_its_last() -> None:
    tokenizer = byte_fallback()
    ids = [*ids_of(tokenizer, "x"), *byte_ids(tokenizer, "漢字".encode()), *ids_of(tokenizer, "▁the")]
    assert pieces_of(tokenizer, ids, []) == ["x", "", "", "漢", "", "", "字", " the", ""]


@pytest.mark.parametrize("data", [b"\xf0" * 5, b"\x80", b"\xe6\xbc", b"\xf0\x9f\x98", b"\xff\xfe"])
def test_bytes_that_are_no_character_are_what_the_tokenizer_makes_of_them(data: bytes) -> None:
    tokenizer = byte_fallback()
    ids = byte_ids(tokenizer, data)
    assert "".join(pieces_of(tokenizer, ids, [])) == tokenizer.decode(ids) == "\ufffd" * len(data)


def test_a_character_behind_a_stray_byte_is_whole() -> None:
    tokenizer = byte_fallback()
    ids = [*byte_ids(tokenizer, b"\xf0" + "漢".encode()), *ids_of(tokenizer, "▁the", "the")]
    assert "".join(pieces_of(tokenizer, ids, [])) == "\ufffd漢 thethe"


@given(st.lists(st.integers(3, 270), max_size=24))
def test_any_tokens_and_bytes_stream_to_their_characters(ids: list[int]) -> None:
    tokenizer = byte_fallback()
    (before,) = ids_of(tokenizer, "x")
    streamed = "x" + "".join(pieces_of(tokenizer, ids, [before]))
    decoded = tokenizer.decode([before, *(i for i in ids if i not in tokenizer.all_special_ids)])
    assert streamed == decoded or "\ufffd" in decoded


def test_a_word_keeps_its_space_behind_a_special_token() -> None:
    tokenizer = byte_fallback()
    ids = ids_of(tokenizer, "on", "</s>", "▁ce")
    assert "".join(pieces_of(tokenizer, ids, [])) == "on ce"
    assert pieces_of(tokenizer, ids_of(tokenizer, "▁ce"), ids_of(tokenizer, USER, "on", USER)) == [" ce", ""]


def test_an_end_inside_a_character_gives_what_there_is_at_once(tokenizer: PreTrainedTokenizerBase) -> None:
    ids = tokenizer("a😀", add_special_tokens=False)["input_ids"][:-1]
    assert pieces_of(tokenizer, [*ids, tokenizer.eos_token_id], [])[-2:] == ["\ufffd", ""]
    fallen = byte_fallback()
    ids = [*byte_ids(fallen, b"\xf0\x9f"), *ids_of(fallen, "</s>")]
    assert pieces_of(fallen, ids, []) == ["", "", "\ufffd\ufffd", ""]


def test_what_follows_an_end_inside_a_character_is_whole(tokenizer: PreTrainedTokenizerBase) -> None:
    first, *rest = tokenizer("😀", add_special_tokens=False)["input_ids"]
    pieces = pieces_of(tokenizer, [first, tokenizer.eos_token_id, first, *rest], [])
    assert "".join(pieces) == "\ufffd😀"


# Single tokens


def test_tokens_that_differ_look_different() -> None:
    tokenizer = byte_fallback("\n")
    texts = TokenTexts(tokenizer)
    assert [texts[i] for i in ids_of(tokenizer, "▁the", "the", "▁", USER)] == [" the", "the", " ", USER]
    assert "".join(texts[i] for i in byte_ids(tokenizer, b"\xf0\x9f a\n")) == "<0xF0><0x9F><0x20><0x61><0x0A>"
    names = range(len(tokenizer))
    assert len({texts[i] for i in names}) == len(names)


def test_a_line_feed_that_has_only_its_byte_is_a_line_feed() -> None:
    tokenizer = byte_fallback()
    assert [TokenTexts(tokenizer)[i] for i in byte_ids(tokenizer, b"\n\t")] == ["\n", "\t"]


def test_part_of_a_character_is_shown_as_its_bytes(tokenizer: PreTrainedTokenizerBase) -> None:
    texts = TokenTexts(tokenizer)
    ids = tokenizer("é😀", add_special_tokens=False)["input_ids"]
    assert "".join(texts[i] for i in ids) in ("é<0xF0><0x9F><0x98><0x80>", "<0xC3><0xA9><0xF0><0x9F><0x98><0x80>")
    assert len({texts[i] for i in range(len(tokenizer))}) == len(tokenizer)


# Texts that end a session


def test_a_stop_text_is_found_across_pieces_and_inside_one() -> None:
    stops = StopTexts(["once", "x" * 200])
    assert [stops.add(piece) for piece in ("on", "c", "", "e")] == [False, False, False, True]
    stops = StopTexts(["once"])
    assert [stops.add(piece) for piece in ("onc", "e")] == [False, True]
    stops = StopTexts(["x" * 200])
    assert not stops.add("-" * 10 + "x" * 150)
    assert stops.add("x" * 50 + "-" * 350)


def test_a_stop_text_is_found_with_and_without_the_special_tokens_inside() -> None:
    for stop in ("<|user|>", "on<|user|>ce", "once", "n<|us", "ce<|user|>"):
        stops = StopTexts([stop])
        found = [stops.add("on"), stops.add("", USER), stops.add("ce"), stops.add("", USER)]
        assert any(found), stop
    stops = StopTexts(["one"])
    assert not any([stops.add("on"), stops.add("", USER), stops.add("ce")])
    assert not StopTexts([]).add("anything", USER)


def test_a_stop_text_of_one_character_is_not_met_twice() -> None:
    stops = StopTexts(["."])
    assert [stops.add("a."), stops.add("b")] == [True, False]
