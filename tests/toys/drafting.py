"""Drafters that do as they are told, and any draft tree."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from engine.config import GenerationConfig
from engine.drafters.base import Context, Drafter, NoOptions, Room
from engine.noise import Noise
from engine.target import Scored
from engine.tree import DraftTree, chain
from engine.verify import Verdict


@st.composite
def trees(draw: st.DrawFn, max_nodes: int = 12, vocab_size: int = 3) -> DraftTree:
    """Any tree, siblings with the same token included, as they are drawn."""
    num_nodes = draw(st.integers(0, max_nodes))
    parents = tuple(draw(st.integers(-1, i - 1)) for i in range(num_nodes))
    tokens = tuple(draw(st.integers(0, vocab_size - 1)) for _ in range(num_nodes))
    return DraftTree(tokens, parents)


def session_of(drafter: Drafter, ids: Sequence[int], seed: int = 0, **settings: Any) -> Context:
    """A session whose text is these tokens (a list is kept as it is), of which the drafter has been told."""
    kept = ids if isinstance(ids, list) else list(ids)
    context = Context(kept, GenerationConfig(**settings), Noise(seed))
    drafter.start(context)
    return context


class ScriptedDrafter(Drafter):
    """Proposes what `script(context, budget)` says, and remembers what it was told."""

    name = "scripted"
    title = "Scripted"
    summary = "Does as it is told."
    source = "tests"
    drawings = ("in_turn", "iid", "chain")

    def __init__(self, script: Callable[[Context, int], DraftTree]) -> None:
        self.options = NoOptions()
        self.script = script
        self.observed: list[tuple[Verdict, list[int]]] = []

    def propose(self, context: Context, room: Room) -> DraftTree:
        return self.script(context, room.nodes)

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        self.observed.append((verdict, list(emitted)))


Script = Callable[[Context, int], DraftTree]


def right(text: Sequence[int], depth: int = 4) -> Script:
    """Always right: proposes what comes next in `text` (prompt and plain output together)."""
    return lambda context, budget: chain(text[len(context.ids) : len(context.ids) + depth])


def wrong(text: Sequence[int], vocab_size: int, depth: int = 4) -> Script:
    """Always wrong, at the first token already."""

    def script(context: Context, budget: int) -> DraftTree:
        truth = text[len(context.ids) : len(context.ids) + depth]
        return chain([(token + 1) % vocab_size for token in truth])

    return script


def random_trees(vocab_size: int, seed: int = 0, num_nodes: int = 12, truth: Sequence[int] = ()) -> Script:
    """Random shapes and tokens; sometimes the true token."""

    def script(context: Context, budget: int) -> DraftTree:
        rng = random.Random(f"{seed} {len(context.ids)}")
        parents = tuple(rng.randint(-1, i - 1) for i in range(rng.randint(0, num_nodes)))
        depths = DraftTree((0,) * len(parents), parents).depths
        tokens = []
        for depth in depths:
            place = len(context.ids) + depth - 1
            is_true = place < len(truth) and rng.random() < 0.5
            tokens.append(truth[place] if is_true else rng.randrange(vocab_size))
        drawn = DraftTree(tuple(tokens), parents)
        return DraftTree.merged([drawn.tokens[i] for i in drawn.path_to(node)] for node in range(len(drawn)))

    return script
