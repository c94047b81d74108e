"""A tokenizer of letters, and what stands in a loaded model's place around it."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import torch
import transformers
from transformers import PreTrainedModel

from engine.models import LoadedModel, fingerprint_of

CPU = torch.device("cpu")


class LetterTokenizer:
    """Token i is the i-th letter. Nothing is special but the end token, whose text is `.`."""

    chat_template: str | None = None
    unk_token_id: int | None = None

    def __init__(self, vocab_size: int, eos_id: int | None = None) -> None:
        self.letters = [chr(97 + i) if i < 26 else chr(0x4E00 + i) for i in range(vocab_size)]
        if eos_id is not None:
            self.letters[eos_id] = "."
        self.eos_token_id = eos_id
        self.all_special_ids = [] if eos_id is None else [eos_id]

    def __len__(self) -> int:
        return len(self.letters)

    def __call__(self, text: str, **kwargs: Any) -> dict[str, list[int]]:
        return {"input_ids": [self.letters.index(letter) for letter in text]}

    def decode(self, ids: Iterable[int], **kwargs: Any) -> str:
        return "".join(self.letters[i] for i in ids if i < len(self))  # as tokenizers do with rows of padding

    def convert_tokens_to_ids(self, name: str) -> int | None:
        return self.letters.index(name) if name in self.letters else None

    def get_vocab(self) -> dict[str, int]:
        return {letter: i for i, letter in enumerate(self.letters)}


def loaded(model: Any, vocab_size: int, max_context: int, eos_id: int | None = None, name: str = "toy") -> LoadedModel:
    """A model under the loader's roof, with a letter tokenizer."""
    fingerprint = fingerprint_of(model) if isinstance(model, PreTrainedModel) else ""
    tokenizer = cast(Any, LetterTokenizer(vocab_size, eos_id))
    return LoadedModel(name, model, tokenizer, max_context, weights_fingerprint=fingerprint)


def stand_in(vocab_size: int, eos_id: int | None = None) -> Any:
    """What a target without a model has in its place."""
    config = transformers.LlamaConfig(vocab_size=vocab_size)
    ends = SimpleNamespace(eos_token_id=eos_id)
    return SimpleNamespace(device=CPU, dtype=torch.float32, generation_config=ends, config=config)
