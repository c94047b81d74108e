"""Runs a model that fills in masks: every row sees every other, so nothing is kept between passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.errors import BadInput


class MaskedRunner:
    """A masked language model over the end of a text with masks behind it."""

    def __init__(self, model: PreTrainedModel, mask_id: int | None, max_context: int) -> None:
        """`mask_id`: the tokenizer's mask. Raises BadInput where there is none."""
        if mask_id is None:
            raise BadInput(
                f"A {model.config.model_type} model is to fill in masks, and its tokenizer has no mask token."
            )
        self.model, self.mask_id, self.max_context = model, mask_id, max_context

    @torch.inference_mode()
    def fill(self, ids: Sequence[int], num_masks: int) -> Tensor:
        """Logits (num_masks, v) of what stands in so many masks behind these tokens, in one pass over all of them.

        As many of the last tokens are read as the context holds. Raises BadInput where it does not hold the masks.
        """
        num_read = self.max_context - num_masks
        if num_read < 0:
            raise BadInput(f"{num_masks} masks do not fit a context of {self.max_context} tokens.")
        text = [*ids[max(0, len(ids) - num_read) :], *[self.mask_id] * num_masks]
        output: Any = self.model(input_ids=torch.tensor([text], device=self.model.device))
        found: Tensor = output.logits[0, len(text) - num_masks :]
        return found
