"""The tokenizer that is trained with a target."""

from __future__ import annotations

from engine.training.tokenizer import train_tokenizer
from tests.engine.training.stories import STORIES


def test_a_tokenizer_gives_back_any_text() -> None:
    tokenizer = train_tokenizer(STORIES[:9], 300, 64)
    for text in ("Once upon 😀", " a  b\n\n", "é\u202e漢", STORIES[50]):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    again = train_tokenizer(STORIES[:9], 300, 64)
    assert again.get_vocab() == tokenizer.get_vocab()
