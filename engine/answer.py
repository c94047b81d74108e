"""The text of a session as it grows, token by token, and what ends it: a token, a text, a limit.

Knows a tokenizer's facts and a session's limits; no drafts, no model.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.config import GenerationConfig
from engine.events import StopReason
from engine.facts import TargetFacts
from engine.text import Detokenizer, StopTexts, TokenTexts


class Answer:
    """What was emitted behind a prompt."""

    def __init__(
        self, facts: TargetFacts, prompt_ids: Sequence[int], config: GenerationConfig, max_context: int
    ) -> None:
        """`max_context`: tokens that the target can hold, the prompt's among them."""
        self.num_tokens = 0
        self.texts = TokenTexts(facts.tokenizer)
        self._eos_ids = facts.eos_ids
        self._detokenizer = Detokenizer(facts.tokenizer)
        self._detokenizer.prime(prompt_ids)
        self._stops = StopTexts(config.stop_strings)
        self._most_new, self._most_held = config.max_new_tokens, max_context - len(prompt_ids)

    def take(self, token_ids: Sequence[int]) -> tuple[list[str], StopReason | None]:
        """The text of each token up to the first that ends the session, and why it does."""
        pieces: list[str] = []
        for token_id in token_ids:
            pieces.append(self._detokenizer.add(token_id))
            self.num_tokens += 1
            reason = self._reason(token_id, pieces[-1])
            if reason is not None:
                pieces[-1] += self._detokenizer.flush()
                return pieces, reason
        return pieces, None

    def _reason(self, token_id: int, piece: str) -> StopReason | None:
        if token_id in self._eos_ids:
            return "eos"
        name = self.texts[token_id] if token_id in self._detokenizer.special_ids else ""
        if self._stops.add(piece, name):
            return "stop_string"
        if self.num_tokens >= self._most_new:
            return "length"
        return "context" if self.num_tokens >= self._most_held else None
