"""What sessions, drafters and audits know of a target: its words and sizes, never its weights.

A model in this process tells it (models/loaded.py); one behind a server can tell as much.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
from transformers import PreTrainedTokenizerBase

if TYPE_CHECKING:
    from engine.conversation import Message

T = TypeVar("T")


class TargetFacts(Protocol):
    """A target without its weights."""

    @property
    def name(self) -> str:
        """As people call it."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """For texts of single tokens, and for how many tokens have one."""

    @property
    def max_context(self) -> int:
        """Most tokens of prompt and output together."""

    @property
    def vocab_size(self) -> int:
        """Tokens that it reads and scores: those of its tokenizer, and rows that fill its tables up."""

    @property
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end a text."""

    @property
    def width(self) -> int:
        """Numbers in a hidden state."""

    @property
    def num_layers(self) -> int:
        """Layers; hidden states are numbered from 0, what enters the first, to this, what leaves the last."""

    @property
    def device(self) -> torch.device:
        """Where its weights are."""

    @property
    def dtype(self) -> torch.dtype:
        """What they are stored in."""

    @property
    def draft(self) -> str | None:
        """The draft model that goes with it, if one is known."""

    @property
    def vocabulary_fingerprint(self) -> str:
        """Equal for two models exactly when every token id means the same text."""

    @property
    def weights_fingerprint(self) -> str:
        """Tells its weights from another's."""

    def encode(self, prompt: str | Sequence[Message], *, is_raw: bool = False, thinks: bool | None = None) -> list[int]:
        """A prompt, or a conversation that ends with the user's message, to token ids. Raises BadInput.

        `is_raw`: without the chat template. `thinks`: whether to think first; None leaves it to the template.
        """

    def decode(self, token_ids: Sequence[int]) -> str:
        """Token ids to text, special tokens among them."""

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once for this target and shared by its sessions."""
