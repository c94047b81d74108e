"""A target that recites a known text, so that a drafter can be watched without a model.

Its likeliest next token is the text's at that place, whatever was drafted before it; the next likely
ones are fixed by the token they follow. And a watch over the steps of a session.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from toys import TableTarget, loaded, stand_in

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters import Drafter
from engine.events import SessionFinished, Stepped
from engine.loop import generate
from engine.target import Pending, Scored
from engine.tree import DraftTree


class Reciter(TableTarget):
    """Recites `text`, prompt included; a table target for everything but its scores."""

    def __init__(self, text: Sequence[int], vocab_size: int = 64, max_context: int = 100_000) -> None:
        self.loaded = loaded(stand_in(vocab_size), vocab_size, max_context, None, "reciter")
        self.text, self.hidden_layers = list(text), ()
        self.committed, self.pending, self.num_passes = [], None, 0
        generator = torch.Generator().manual_seed(5)
        self.noise = torch.rand(vocab_size, vocab_size, generator=generator)

    def row(self, ids: Sequence[int]) -> Tensor:
        logits = self.noise[ids[-1]].clone()
        logits[self.text[len(ids)] if len(ids) < len(self.text) else 0] += 8
        return logits

    def launch(self, root_id: int, tree: DraftTree) -> Pending:
        self.pending = root_id, tree
        self.num_passes += 1
        logits = self.noise[[root_id, *tree.tokens]].clone()
        for row, depth in enumerate((0, *tree.depths)):
            place = len(self.committed) + 1 + depth
            logits[row, self.text[place] if place < len(self.text) else 0] += 8
        return Pending(Scored(logits, None))


def recite(text: Sequence[int], num_prompt: int, drafter: Drafter | str, **options: Any) -> list[Stepped]:
    """The steps in which a drafter (or a method of the registry) helps to recite a text's rest."""
    target = Reciter(text, max(text) + 1 if max(text) >= 64 else 64)
    if isinstance(drafter, str):
        drafter = drafters.create(drafter, options, target)
    config = GenerationConfig(max_new_tokens=len(text) - num_prompt, has_detail=False)
    events = list(generate(target, drafter, list(text[:num_prompt]), config))
    assert isinstance(events[-1], SessionFinished)
    assert events[-1].reason == "length", events[-1].message
    steps = [event for event in events if isinstance(event, Stepped)]
    assert [token.token_id for step in steps for token in step.emitted] == list(text[num_prompt:])
    return steps


def block_efficiency(steps: Sequence[Stepped]) -> float:
    """Emitted tokens a step."""
    return sum(len(step.emitted) for step in steps) / len(steps)


@functools.cache
def prose(num_tokens: int, seed: int = 0, vocab_size: int = 64) -> tuple[int, ...]:
    """Text whose next token depends on the last one, with a few likely followers each."""
    rng = random.Random(seed)
    followers = [[rng.randrange(vocab_size) for _ in range(4)] for _ in range(vocab_size)]
    text = [0]
    while len(text) < num_tokens:
        text.append(rng.choices(followers[text[-1]], (8, 4, 2, 1))[0])
    return tuple(text)
