"""PARD: a small language model that was trained to fill masks drafts a step's tokens in one pass (arXiv 2504.18583).

Behind the text stand K - 1 masks, one and the same token. The row of the text's last token scores the first draft, the
row of the d-th mask draft d + 1; a mask sees the text and the masks before it. Rows of masks are dropped with the pass,
those of text are kept; accepted drafts are read as text with the next step's masks. Any causal model whose config names
its mask (`pard_token`) will do, as `train pard` and AMD's PARD write them.

Later drafts know the places between, not the tokens there: what is drafted at a depth is the same distribution behind
every node, the marginal of the text's continuations. Where nodes are drawn each is drawn from it by noise of its own,
and the tree says so: a law that hangs on the text alone is one that rules may weigh, in a chain and among siblings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from engine.drafters.base import Context, Room
from engine.drafters.growing import Growing
from engine.drafters.small_models._options import TreeOptions
from engine.drafters.small_models.draft_model import DraftModel
from engine.errors import BadInput
from engine.runtime.runner import PREFILL_ROWS
from engine.tree import DraftTree

if TYPE_CHECKING:
    from engine.target import Target


class Pard(DraftModel):
    """A draft model that runs once a step."""

    name = "pard"
    title = "PARD"
    summary = "A small language model that was trained to fill masks writes several tokens ahead in one pass."
    source = "arXiv 2504.18583"
    trained_as: ClassVar[str] = "pard"

    def __init__(self, options: TreeOptions, target: Target) -> None:
        super().__init__(options, target)
        self._mask_id = mask_of(self.runner.model.config, self._num_readable, self._model_name)
        self._num_masks = 0

    def propose(self, context: Context, room: Room) -> DraftTree:
        self._num_masks = min(self._depth(len(context.ids)), room.chain) - 1
        return super().propose(context, room)

    def _feed(self, ids: Sequence[int]) -> Tensor:
        """Commit tokens that the target emitted; scores (1 + masks, v) of what follows them."""
        if len(ids) > PREFILL_ROWS:
            super()._feed(ids[:-1])
            ids = ids[-1:]
        read = [*self._readable(ids), *[self._mask_id] * self._num_masks]
        rows = self.runner.extend(read, range(-1, len(read) - 1), num_logits=1 + self._num_masks)
        self.runner.commit(range(len(ids)))
        return self._scores(rows)

    def _draft(self, context: Context, logits: Tensor, room: Room) -> DraftTree:
        room = Room(room.nodes, min(room.depth, len(logits)))
        if self.options.width > 1:
            return super()._draft(context, logits[:1], room)
        growing, least = self._begin(context), self.options.min_confidence
        if context.config.repetition_penalty == 1:
            growing.add_row(logits[: room.chain], least)
        else:  # what follows a token is then less likely to be that token again
            self._chain(growing, -1, logits[:1], room.chain, least)
        return growing.tree()

    def _feed_nodes(self, nodes: Sequence[int], growing: Growing) -> Tensor:
        """Nothing is fed: what follows nodes (m, v) is what stands in the masks behind."""
        return self._behind[[growing.depths[node] for node in nodes]]


def mask_of(config: Any, num_tokens: int, name: str) -> int:
    """The token that a model of this config reads where text is to come. Raises BadInput where it knows none."""
    if getattr(config, "spd_type", None) == "pard2":
        raise BadInput(f"{name} is a PARD-2 model: it reads the target's states, which method pard does not give it.")
    mask_id = getattr(config, "pard_token", None)
    if not isinstance(mask_id, int) or not 0 <= mask_id < num_tokens:
        raise BadInput(
            f"pard_token in the config of {name} is {mask_id!r}; wanted a token id below {num_tokens}. Adapt a draft "
            "model with python -m engine train pard, or use method draft_model."
        )
    return mask_id


DRAFTER = Pard
