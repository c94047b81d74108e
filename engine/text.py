"""Token ids to the text each of them adds, while more are still coming.

A character can span several tokens; its text comes with the token that completes it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from transformers import PreTrainedTokenizerBase, TokenizersBackend

_REPLACEMENT = "\ufffd"
_LOOKBACK = 6


class Detokenizer:
    """Turns a growing list of token ids into pieces whose concatenation is the decoded text."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._decode = plain_decoder(tokenizer)
        self._special = frozenset(tokenizer.all_special_ids)
        self._done: list[int] = []
        self._open: list[int] = []
        self._num_given = 0
        """Characters of the open tokens that were given already."""

    def prime(self, token_ids: Sequence[int]) -> None:
        """Give the context that comes before the first piece, so that leading spaces come right."""
        self._done = [i for i in token_ids[-_LOOKBACK:] if i not in self._special]

    def add(self, token_id: int) -> str:
        """What this token adds; empty for a special token or inside an unfinished character."""
        if token_id in self._special:
            return self.flush()
        self._open.append(token_id)
        text = self._open_text()
        # An unfinished character decodes to exactly one replacement character, at the end.
        is_unfinished = text.endswith(_REPLACEMENT)
        piece = text[self._num_given : len(text) - is_unfinished]
        if is_unfinished:
            self._num_given += len(piece)
        else:
            self._close()
        return piece

    def flush(self) -> str:
        """What is left of an unfinished character at the end."""
        piece = self._open_text()[self._num_given :]
        self._close()
        return piece

    def _open_text(self) -> str:
        """The text of the open tokens, decoded behind those that came before."""
        return self._decode(self._done + self._open)[len(self._decode(self._done)) :]

    def _close(self) -> None:
        self._done, self._open, self._num_given = (self._done + self._open)[-_LOOKBACK:], [], 0


def plain_decoder(tokenizer: PreTrainedTokenizerBase) -> Callable[[list[int]], str]:
    """What turns ids into text, special tokens and spaces as they are.

    Where it is the Rust tokenizer that does the work, it is asked at once: transformers' own `decode` spends seven
    eighths of its time on kinds of input that do not come here (docs/log.md, 2026-11-22).
    """
    own = (PreTrainedTokenizerBase.decode, TokenizersBackend._decode)
    if isinstance(tokenizer, TokenizersBackend) and (type(tokenizer).decode, type(tokenizer)._decode) == own:
        return functools.partial(tokenizer.backend_tokenizer.decode, skip_special_tokens=False)
    return lambda token_ids: str(tokenizer.decode(token_ids, clean_up_tokenization_spaces=False))


class TokenTexts:
    """The text of single tokens, each decoded once."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        decode = plain_decoder(tokenizer)
        self._decode = functools.lru_cache(maxsize=200_000)(lambda token_id: decode([token_id]))

    def __getitem__(self, token_id: int) -> str:
        return self._decode(token_id)
