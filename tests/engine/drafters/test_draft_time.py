"""What a draft costs without a model: little, and as much at the end of a long text as at its beginning.

Counted, not timed: lines of Python that run and tokens of the context that are read, text read since the last step
included, with a fake target. `scripts/draft_time.py` times the same drafts.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import pytest
from reciter import Reciter, prose
from toys import create

from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.noise import Noise
from engine.target import Scored
from engine.verify import Verdict

NAMES = ("prompt_lookup", "copyspec", "sam_decoding", "iad", "token_recycling", "stand")
MOST_WORK = 3_000
MOST_GROWTH = 1.2
PROSE = prose(8200)
CYCLE = (PROSE[:60] * 200)[:8200]
"""Known as well after 200 tokens as after 8,000: only the length of the context differs."""
CYCLE_OPTIONS = {"sam_decoding": {"tie": "first"}}
"""The latest place is kept for every suffix that a token ends, and each turn of a cycle makes one more of them."""


class Read(list[int]):
    """Token ids that count how many of them were looked at."""

    num_read = 0

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        self.num_read += len(found) if isinstance(place, slice) else 1
        return found

    def __iter__(self) -> Iterator[int]:
        self.num_read += len(self)
        return super().__iter__()


class Lines:
    """Counts the lines that run while it is open."""

    def __enter__(self) -> Lines:
        self.num_lines = 0
        sys.settrace(self._note)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)

    def _note(self, frame: FrameType, event: str, given: object) -> Any:
        self.num_lines += event == "line"
        return self._note


def cost(name: str, text: Sequence[int], num_before: int, num_steps: int = 60, **options: Any) -> tuple[float, float]:
    """Median work and nodes of a proposal that follows some context."""
    target = Reciter(text)
    ids = Read(text[:num_before])
    drafter, context = create(name, target, **options), Context(ids, GenerationConfig(), Noise(0))
    drafter.start(context)
    drafter.propose(context, Room(128))  # what is made once
    work, sizes = [], []
    for _ in range(num_steps):
        ids.num_read = 0
        with Lines() as lines:
            tree = drafter.propose(context, Room(128))
        work.append(lines.num_lines + ids.num_read)
        sizes.append(len(tree))
        context.tree = tree
        new = list(text[len(ids) : len(ids) + 1])
        logits = target.noise[[context.root_id, *tree.tokens]]
        ids.extend(new)
        drafter.observe(Verdict((), new[0], "correction"), new, Scored(logits, None))
    return statistics.median(work), statistics.median(sizes)


@pytest.mark.parametrize("name", NAMES)
def test_a_draft_is_cheap_and_does_not_grow_with_the_context(name: str) -> None:
    (short, few), (long, many) = (cost(name, CYCLE, num, **CYCLE_OPTIONS.get(name, {})) for num in (200, 8000))
    assert few == many
    assert long <= MOST_GROWTH * short


@pytest.mark.parametrize("name", NAMES)
def test_a_text_that_offers_more_costs_more_by_the_node_only(name: str) -> None:
    (short, few), (long, many) = cost(name, PROSE, 200), cost(name, PROSE, 8000)
    assert max(short, long) < MOST_WORK
    assert long <= MOST_GROWTH * max(1.0, (many + 1) / (few + 1)) * short
