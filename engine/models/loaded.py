"""A loaded model: weights with their tokenizer, and what was made for them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine.conversation import Message
from engine.errors import BadInput
from engine.models.chat import token_ids
from engine.models.fingerprint import fingerprint_of_vocabulary

T = TypeVar("T")

_SAMPLING = {
    "temperature": "temperature",
    "top_k": "top-k",
    "top_p": "top-p",
    "min_p": "min-p",
    "repetition_penalty": "repetition penalty",
}
_NOTHING = (None, 0, 1)
"""Values that leave the model's distribution as it is, under each of these names but top-k 1, which is greedy."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A language model with its tokenizer, ready to run."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_context: int
    draft: str | None = None
    """The draft model that goes with this target, if its preset names one."""
    weights_fingerprint: str = ""
    """Tells one model's weights from another's; see `fingerprint_of`."""
    kept: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)
    """What was made for this model and is shared by its sessions; gone when the model is."""

    def held_to(self, max_context: int) -> LoadedModel:
        """The same with no more tokens of context; 0 leaves it as it is."""
        if not 0 < max_context < self.max_context:
            return self
        return replace(self, max_context=max_context)

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once for this model."""
        if key not in self.kept:
            self.kept[key] = make()
        return cast(T, self.kept[key])

    @functools.cached_property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @functools.cached_property
    def dtype(self) -> torch.dtype:
        """What the weights are stored in."""
        return self.model.dtype

    @functools.cached_property
    def vocabulary_fingerprint(self) -> str:
        """Equal for two models exactly when every token id means the same text."""
        return fingerprint_of_vocabulary(self.tokenizer)

    @functools.cached_property
    def vocab_size(self) -> int:
        """Tokens that it reads and scores: those of its tokenizer, and rows that fill its tables up to a round size."""
        return int(self.model.config.get_text_config().vocab_size)

    @functools.cached_property
    def width(self) -> int:
        """Numbers in a hidden state."""
        return int(self.model.config.get_text_config().hidden_size)

    @functools.cached_property
    def num_layers(self) -> int:
        """Layers of its decoder."""
        return int(self.model.config.get_text_config().num_hidden_layers)

    @functools.cached_property
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end a text, from the generation config or the tokenizer."""
        return frozenset(end_ids(self.model, self.tokenizer))

    @functools.cached_property
    def advice(self) -> str:
        """A sentence where the model's own config asks for sampling that no run takes by itself; else empty."""
        given: dict[str, Any] = getattr(self.model.generation_config, "to_diff_dict", dict)()
        asked = [f"{words} {given[key]}" for key, words in _SAMPLING.items() if given.get(key) not in _NOTHING]
        if not asked:
            return ""
        return f"The config of {self.name} asks for {', '.join(asked)}; a run takes what you set, and not that."

    def encode(self, prompt: str | Sequence[Message], *, is_raw: bool = False, thinks: bool | None = None) -> list[int]:
        """A prompt, or a conversation that ends with the user's message, to token ids.

        `is_raw`: without the chat template. `thinks`: its switch, where it has one. Raises BadInput where the last
        message is empty, the template is broken or has no such switch, or the model lacks a token's row.
        """
        ids = token_ids(self.name, self.tokenizer, prompt, is_raw=is_raw, thinks=thinks)
        if max(ids, default=0) >= self.vocab_size:
            raise BadInput(
                f"The tokenizer of {self.name} gives token {max(ids)}, and the model has {self.vocab_size} of them; "
                "they do not belong together, so fetch both again from one place."
            )
        return ids

    def decode(self, token_ids: Sequence[int]) -> str:
        """Token ids to text, special tokens among them."""
        return str(self.tokenizer.decode(list(token_ids)))


def end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Tokens that end a text, from the generation config or else the tokenizer; none where neither knows one."""
    found = getattr(model.generation_config, "eos_token_id", None)
    found = tokenizer.eos_token_id if found is None else found
    return tuple(found) if isinstance(found, list) else () if found is None else (int(found),)


def context_length(config: Any) -> int:
    """Tokens that the model can attend to; a model whose every layer slides is held to its window."""
    length = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 2048
    types = set(getattr(config, "layer_types", None) or [])
    window = getattr(config, "sliding_window", None)
    slides = types == {"sliding_attention"} or (not types and window)
    return int(min(length, window) if slides and window else length)
