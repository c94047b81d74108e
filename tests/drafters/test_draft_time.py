"""What a draft costs without a model: little, and as much at the end of a long text as at its beginning.

The time of `propose` with a fake target, text read since the last step included. Medians over steps, the
best of several runs, so that a busy machine does not decide.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import pytest
import torch
from reciter import Reciter, prose
from toys import create

from engine.config import GenerationConfig
from engine.drafters.base import Context
from engine.sampling import Noise
from engine.target import Scored
from engine.verify import Verdict

NAMES = ("prompt_lookup", "copyspec", "sam_decoding", "iad", "token_recycling", "stand")
MOST_MS = 0.3
MOST_GROWTH = 1.5
SLACK_MS = 0.02
"""Below this, a difference is the clock's."""
PROSE = prose(8200)
CYCLE = (PROSE[:60] * 200)[:8200]
"""Known as well after 200 tokens as after 8,000: only the length of the context differs."""


def cost(name: str, text: Sequence[int], num_before: int, num_steps: int = 60) -> tuple[float, float]:
    """Median milliseconds and nodes of a proposal that follows some context."""
    target = Reciter(text)
    drafter, context = create(name, target), Context(list(text[:num_before]), GenerationConfig(), Noise(0))
    drafter.start(context)
    times, sizes = [], []
    for _ in range(num_steps):
        started = time.perf_counter()
        tree = drafter.propose(context, 128)
        times.append(1000 * (time.perf_counter() - started))
        sizes.append(len(tree))
        context.tree = tree
        new = list(text[len(context.ids) : len(context.ids) + 1])
        logits = target.noise[[context.root_id, *tree.tokens]]
        context.ids.extend(new)
        drafter.observe(Verdict((), new[0], "correction"), new, Scored(logits, None))
    return statistics.median(times), statistics.median(sizes)


def best(name: str, text: Sequence[int], num_before: int) -> tuple[float, float]:
    return min(cost(name, text, num_before) for _ in range(4))


@pytest.mark.parametrize("name", NAMES)
def test_a_draft_is_cheap_and_does_not_grow_with_the_context(name: str) -> None:
    torch.set_num_threads(1)
    (short, few), (long, many) = best(name, CYCLE, 200), best(name, CYCLE, 8000)
    assert few == many
    assert long < MOST_GROWTH * short + SLACK_MS, f"{short:.3f} ms at 200 tokens, {long:.3f} ms at 8000"


@pytest.mark.parametrize("name", NAMES)
def test_a_text_that_offers_more_costs_more_by_the_node_only(name: str) -> None:
    torch.set_num_threads(1)
    (short, few), (long, many) = best(name, PROSE, 200), best(name, PROSE, 8000)
    assert max(short, long) < MOST_MS, f"{short:.3f} ms, {long:.3f} ms"
    larger = max(1.0, (many + 1) / (few + 1))
    assert long < MOST_GROWTH * larger * short + SLACK_MS, f"{short:.3f} ms at 200 tokens, {long:.3f} ms at 8000"
