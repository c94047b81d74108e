"""What a drafter's training asks for, said before it starts: time on this machine, and disk.

The target is timed on one batch of a few tokens. Knows a model, counts and a limit; nothing of texts or drafters.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from engine.training import activations, batches
from engine.training.trainer import refuse_small_disk

PROBE_TOKENS, PROMPT_TOKENS = 4, 64


@dataclass(frozen=True)
class Demand:
    """Of one run."""

    num_prompts: int
    """Those that the target has not answered yet."""
    writing_minutes: float
    num_bytes: int
    """Hidden states of prompts and answers of full length."""
    training_minutes: float

    def __str__(self) -> str:
        """One sentence."""
        if not self.num_prompts:
            return f"All prompts are answered; training takes {self.training_minutes:.0f} minutes at most."
        return (
            f"The target answers {self.num_prompts:,} prompts, about {self.writing_minutes:.0f} minutes here, and its "
            f"hidden states take up to {self.num_bytes / 1e6:,.0f} MB; then training takes "
            f"{self.training_minutes:.0f} minutes at most."
        )


def measured(
    target: PreTrainedModel, lengths: list[int], max_new_tokens: int, batch_rows: int, training_minutes: float
) -> Demand:
    """For prompts of these lengths, in batches of so many rows."""
    if not lengths:
        return Demand(0, 0.0, 0, training_minutes)
    started = time.perf_counter()
    batches.continued(target, [[0] * PROMPT_TOKENS] * batch_rows, 1, ())
    prompt_s = (time.perf_counter() - started) / PROMPT_TOKENS
    started = time.perf_counter()
    batches.continued(target, [[0] * PROMPT_TOKENS] * batch_rows, 1 + PROBE_TOKENS, ())
    token_s = max(0.0, time.perf_counter() - started - PROMPT_TOKENS * prompt_s) / PROBE_TOKENS
    num_batches = -(-len(lengths) // batch_rows)
    seconds = num_batches * max_new_tokens * token_s + sum(lengths) / batch_rows * prompt_s
    num_tokens = sum(lengths) + max_new_tokens * len(lengths)
    num_bytes = activations.num_bytes(1, num_tokens, target.config.get_text_config().hidden_size)
    return Demand(len(lengths), seconds / 60, num_bytes, training_minutes)


def tell(demand: Demand, folder: Path) -> None:
    """Print it. Raises BadInput where the folder's disk has no room."""
    print(demand, flush=True)
    refuse_small_disk(folder, demand.num_bytes)
