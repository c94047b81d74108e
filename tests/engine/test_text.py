"""Streamed pieces concatenate to the decoded text, whatever the tokens split."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from toys import LetterTokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from engine.models import ASSETS
from engine.text import Detokenizer, TokenTexts

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


def test_single_tokens_have_their_own_text() -> None:
    texts = TokenTexts(LetterTokenizer(5))  # type: ignore[arg-type]
    assert [texts[i] for i in range(5)] == list("abcde")
