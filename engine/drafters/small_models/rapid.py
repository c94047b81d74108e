"""RAPID: a draft model that reads the parts of a long context that matter now; the target reads all (arXiv 2502.20330).

Where the text is longer than `budget` tokens the draft model reads its beginning, the chunks that have most in common
with its end, and its end, as one text with places of its own; both models go on with the tokens that are emitted.
When that text has grown `refresh` tokens beyond the budget, or would not fit, chunks are chosen anew for the end of
now. A poor choice costs acceptance, never the text. The paper also bends the target's distribution towards the draft
model's; that changes what is written, and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from engine.drafters.base import Context, Room
from engine.drafters.small_models._model import SmallModel
from engine.drafters.small_models._options import ChainOptions, context_option
from engine.drafters.small_models._retrieval import shortened
from engine.draws import Drawing
from engine.options import option
from engine.tree import DraftTree

if TYPE_CHECKING:
    from engine.target import Target


@dataclass(frozen=True)
class RapidOptions(ChainOptions):
    """Which draft model, how far, and how much of the text it reads."""

    budget: int = option(
        512, "Tokens of a text that are read; longer ones are shortened.", low=16, high=32_768, unit="tokens"
    )
    chunk: int = option(32, "Tokens of a chunk.", low=4, high=512, unit="tokens")
    recent: int = option(128, "Last tokens of the text, which ask and stay.", low=4, high=8_192, unit="tokens")
    refresh: int = option(
        128, "Tokens beyond budget at which chunks are chosen anew.", low=8, high=8_192, unit="tokens"
    )
    max_context: int = context_option("Most tokens that the draft model's cache holds; 0 as many as it can.")


class Rapid(SmallModel):
    """A draft model with a context of its own."""

    name = "rapid"
    title = "RAPID"
    summary = "A small language model drafts from the parts of a long text that matter now; the target reads all."
    source = "arXiv 2502.20330"
    drawings: tuple[Drawing, ...] = ("in_turn", "iid", "chain")
    Options = RapidOptions
    options: RapidOptions
    fits_nodes: ClassVar[bool] = False

    def __init__(self, options: RapidOptions, target: Target) -> None:
        self.most_depth = options.depth
        super().__init__(options, target)
        self._most = min(options.budget + options.refresh, self.max_context - options.depth - 1)
        self._num_read = min(options.budget, max(1, self._most // 2, self._most - options.refresh))

    def start(self, context: Context) -> None:
        self._choose(context)
        super().start(context)

    def _choose(self, context: Context) -> None:
        """Shorten the text as it stands."""
        self._read = shortened(context.ids, self._num_read, self.options.chunk, self.options.recent)
        self._num_covered = len(context.ids)

    def _text(self, context: Context) -> list[int]:
        return [*self._read, *context.ids[self._num_covered :]]

    def propose(self, context: Context, room: Room) -> DraftTree:
        if self._fits and len(self._read) + len(context.ids) - self._num_covered > self._most:
            self._choose(context)
            self.runner.prefill(self._readable(self._read[:-1]))
        return super().propose(context, room)

    def _draft(self, context: Context, logits: Tensor, room: Room) -> DraftTree:
        growing = self._begin(context)
        self._chain(growing, -1, logits, room.chain, self.options.min_confidence)
        return growing.tree()


DRAFTER = Rapid
