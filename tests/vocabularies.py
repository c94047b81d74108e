"""Tokenizers of kinds that the project's own models do not have, built in code."""

from __future__ import annotations

import functools

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

MARK = "\u2581"
WORDS = (MARK, "t", "h", "e", "th", "the", f"{MARK}the", f"{MARK}a", f"{MARK}ce", "a", "x", "on", f"{MARK}on", "ce")
MERGES = (("t", "h"), ("th", "e"), (MARK, "the"), (MARK, "a"))
END, USER = "</s>", "<|user|>"


@functools.cache
def byte_fallback(*more: str) -> PreTrainedTokenizerFast:
    """As Llama 2's: spaces are marks before words, and what has no token is written byte by byte."""
    names = ["<unk>", "<s>", END, USER, *(f"<0x{byte:02X}>" for byte in range(256)), *WORDS, *more]
    vocabulary = {name: i for i, name in enumerate(names)}
    bpe = models.BPE(vocabulary, list(MERGES), unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    steps = [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_special_tokens([AddedToken(USER, special=True)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token=END,
        additional_special_tokens=[USER],
    )


def ids_of(tokenizer: PreTrainedTokenizerFast, *names: str) -> list[int]:
    """Tokens by the names that the vocabulary gives them."""
    found = tokenizer.convert_tokens_to_ids(list(names))
    assert isinstance(found, list)
    assert tokenizer.unk_token_id not in found
    return found


def byte_ids(tokenizer: PreTrainedTokenizerFast, data: bytes) -> list[int]:
    """The tokens of single bytes."""
    return ids_of(tokenizer, *(f"<0x{byte:02X}>" for byte in data))
