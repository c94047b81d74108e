"""Token ids to the text each of them adds, while more are still coming; and texts that end a session.

A character can span several tokens; its text comes with the token that completes it. What is no character is
U+FFFD in a text, and its bytes where a token is shown by itself.
"""

from __future__ import annotations

import codecs
import functools
from collections.abc import Callable, Sequence
from typing import cast
from weakref import WeakKeyDictionary

from transformers import PreTrainedTokenizerBase, TokenizersBackend
from transformers.convert_slow_tokenizer import bytes_to_unicode

_REPLACEMENT = "\ufffd"
_LOOKBACK = 6
_BYTE_TOKENS: WeakKeyDictionary[PreTrainedTokenizerBase, dict[int, int]] = WeakKeyDictionary()
"""Of each tokenizer that was asked for, as long as it is there."""


class Detokenizer:
    """Turns a growing list of token ids into pieces whose concatenation is the decoded text."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._decode = plain_decoder(tokenizer)
        self.special_ids = frozenset(tokenizer.all_special_ids)
        self._byte_of = byte_tokens(tokenizer)
        self._done: list[int] = []
        """What a token is decoded behind, so that its leading space comes right."""
        self._open: list[int] = []
        """Tokens whose last character is not whole."""
        self._num_given = 0
        """Characters of the open tokens that were given already."""
        self._bytes = b""
        """The same of tokens that stand for one byte each: a character that is not whole."""

    def prime(self, token_ids: Sequence[int]) -> None:
        """Give the context that comes before the first piece, so that leading spaces come right."""
        self._done = [i for i in token_ids[-_LOOKBACK:] if i not in self.special_ids]

    def add(self, token_id: int) -> str:
        """What this token adds; empty for a special token or inside an unfinished character."""
        if token_id in self.special_ids:
            return self.flush()
        byte = self._byte_of.get(token_id)
        return self._add_text(token_id) if byte is None else self._add_byte(token_id, byte)

    def flush(self) -> str:
        """What is left of an unfinished character at the end."""
        piece = self._open_text()[self._num_given :] + _REPLACEMENT * len(self._bytes)
        # Looked back at, half a character would swallow the beginning of the next.
        self._open, self._num_given, self._bytes = [], 0, b""
        return piece

    def _add_byte(self, token_id: int, byte: int) -> str:
        before = self.flush() if self._open else ""
        text, self._bytes = read_utf8(self._bytes + bytes([byte]), lambda stray: _REPLACEMENT)
        self._done = [*self._done, token_id][-_LOOKBACK:]
        return before + text

    def _add_text(self, token_id: int) -> str:
        before = self.flush() if self._bytes else ""
        self._open.append(token_id)
        text = self._open_text()
        # Where bytes have no tokens of their own, an unfinished character is one replacement character, at the end.
        is_unfinished = text.endswith(_REPLACEMENT)
        piece = text[self._num_given : len(text) - is_unfinished]
        if is_unfinished:
            self._num_given += len(piece)
        else:
            self._done = (self._done + self._open)[-_LOOKBACK:]
            self._open, self._num_given = [], 0
        return before + piece

    def _open_text(self) -> str:
        """The text of the open tokens, decoded behind those that came before."""
        return self._decode(self._done + self._open)[len(self._decode(self._done)) :] if self._open else ""


class TokenTexts:
    """The text of single tokens, each read once; two tokens look alike only where nothing tells them apart.

    Each stands as it would inside a text, leading space included; bytes that are no character are written `<0xF0>`.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._decode = plain_decoder(tokenizer)
        self._byte_of = byte_tokens(tokenizer)
        self._text = functools.lru_cache(maxsize=200_000)(self._read)

    def __getitem__(self, token_id: int) -> str:
        return self._text(token_id)

    def _read(self, token_id: int) -> str:
        if token_id in self._byte_of:
            return self._of_byte(self._byte_of[token_id])
        # Behind itself, since decoders strip the space from the first token of a text.
        text = self._decode([token_id, token_id])[len(self._decode([token_id])) :]
        data = _bytes_of(self._tokenizer, token_id) if _REPLACEMENT in text else None
        return text if data is None else _shown(data)

    def _of_byte(self, byte: int) -> str:
        """A byte's token is a character only where no other token is it, as line feeds often are."""
        character = chr(byte)
        is_alone = character in "\t\n\r" and token_named(self._tokenizer, character) is None
        return character if is_alone else _as_byte(byte)


class StopTexts:
    """Texts that end a session, looked for as tokens come. A special token is met by its name, and shown it is not."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._num_kept = max(map(len, stops), default=0) - 1
        """Characters of earlier pieces that a stop text may still begin with."""
        self._shown = self._written = ""

    def add(self, piece: str, name: str = "") -> bool:
        """Whether one has appeared, now that this piece was added; `name` of a special token follows it."""
        shown, written = self._shown + piece, self._written + piece + name
        self._shown, self._written = self._tail(shown), self._tail(written)
        return any(stop in shown or stop in written for stop in self._stops)

    def _tail(self, text: str) -> str:
        return text[-self._num_kept :] if self._num_kept > 0 else ""


def plain_decoder(tokenizer: PreTrainedTokenizerBase) -> Callable[[list[int]], str]:
    """What turns ids into text, special tokens and spaces as they are.

    Where it is the Rust tokenizer that does the work, it is asked at once: transformers' own `decode` spends seven
    eighths of its time on kinds of input that do not come here (docs/log.md, 2026-11-22).
    """
    own = (PreTrainedTokenizerBase.decode, TokenizersBackend._decode)
    if isinstance(tokenizer, TokenizersBackend) and (type(tokenizer).decode, type(tokenizer)._decode) == own:
        return functools.partial(tokenizer.backend_tokenizer.decode, skip_special_tokens=False)
    return lambda token_ids: str(tokenizer.decode(token_ids, clean_up_tokenization_spaces=False))


def byte_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, int]:
    """Tokens that stand for one byte each (`<0xF0>`), where the tokenizer falls back to them: byte by token id."""
    if tokenizer not in _BYTE_TOKENS:
        _BYTE_TOKENS[tokenizer] = _find_byte_tokens(tokenizer)
    return _BYTE_TOKENS[tokenizer]


def _find_byte_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, int]:
    found = {token_named(tokenizer, _as_byte(byte)): byte for byte in range(256)}
    tokens = {token_id: byte for token_id, byte in found.items() if token_id is not None}
    # Elsewhere such a name is just a text, and decodes to itself.
    return tokens if all(plain_decoder(tokenizer)([i]) != _as_byte(byte) for i, byte in tokens.items()) else {}


def token_named(tokenizer: PreTrainedTokenizerBase, name: str) -> int | None:
    """The id of a token as the vocabulary writes it, if there is one."""
    found = tokenizer.convert_tokens_to_ids(name)
    return None if found is None or found == tokenizer.unk_token_id else int(cast(int, found))


def read_utf8(data: bytes, stray: Callable[[int], str]) -> tuple[str, bytes]:
    """Text of bytes, those that belong to no character as `stray` says, and the bytes of an unfinished last one."""
    text = ""
    while True:
        try:
            found, num_read = codecs.utf_8_decode(data, "strict", False)
        except UnicodeDecodeError as fault:
            text += data[: fault.start].decode() + "".join(map(stray, data[fault.start : fault.end]))
            data = data[fault.end :]
        else:
            return text + found, data[num_read:]


def _as_byte(byte: int) -> str:
    return f"<0x{byte:02X}>"


def _shown(data: bytes) -> str:
    text, rest = read_utf8(data, _as_byte)
    return text + "".join(map(_as_byte, rest))


def _bytes_of(tokenizer: PreTrainedTokenizerBase, token_id: int) -> bytes | None:
    """The bytes of a byte-level token; None for a token of another kind."""
    name = str(tokenizer.convert_ids_to_tokens(token_id))
    alphabet = _byte_level_alphabet()
    return bytes(alphabet[letter] for letter in name) if all(letter in alphabet for letter in name) else None


@functools.cache
def _byte_level_alphabet() -> dict[str, int]:
    """The letter that byte-level vocabularies write for each byte."""
    return {letter: byte for byte, letter in bytes_to_unicode().items()}
