"""How much of a step is spent beside draft and target, on a vocabulary of a real model's size.

A target without a model gives the same random scores (81, 49,152) again and again, and a drafter the same tree of 80
nodes; so nothing is measured but verification, events and the loop. Printed beside it, from the same run: what the
distributions of all rows and their likeliest tokens cost through torch.

`PYTHONPATH=.:tests python scripts/host_time.py [steps]`
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import cast

import torch
from toys import ScriptedDrafter, Table, TableTarget, loaded
from toys.letters import stand_in

from engine.config import GenerationConfig
from engine.loop import generate
from engine.target import Pending, Scored
from engine.tree import DraftTree, chain

VOCAB_SIZE, NUM_NODES = 49_152, 80
SETTINGS = {
    "greedy, full events": {},
    "greedy, no detail": {"has_detail": False},
    "greedy, penalty": {"repetition_penalty": 1.2},
    "sampled": {"temperature": 1.0},
    "sampled, top-k 50, top-p 0.9": {"temperature": 0.7, "top_k": 50, "top_p": 0.9},
    "sampled, top-p 0.95": {"temperature": 1.0, "top_p": 0.95},
}


class Parrot(TableTarget):
    """Always the same scores; peaked as a language model's are."""

    def __init__(self) -> None:
        super().__init__(Table(2), max_context=100_000)
        self.loaded = loaded(stand_in(VOCAB_SIZE), 64, 100_000)
        self.loaded.tokenizer.decode = lambda ids, **_: "x" * len(ids)  # type: ignore[method-assign,assignment]
        generator = torch.Generator().manual_seed(0)
        self.logits = 2.5 * torch.randn(NUM_NODES + 1, VOCAB_SIZE, generator=generator)
        self.logits[:, :200] += 16 * torch.rand(NUM_NODES + 1, 200, generator=generator)

    def launch(self, root_id: int, tree: DraftTree) -> Pending:
        self.pending = root_id, tree
        return Pending(Scored(self.logits[: len(tree) + 1], None))


def bushy() -> DraftTree:
    """As Token Recycling's tree: wide near the root; about half of its nodes have children."""
    rng = random.Random(1)
    parents = [-1] * 8 + [min(rng.randrange(i), rng.randrange(i)) for i in range(8, NUM_NODES)]
    return DraftTree(tuple(rng.randrange(VOCAB_SIZE) for _ in parents), tuple(parents))


def host_ms(tree: DraftTree, settings: dict[str, object], num_steps: int) -> float:
    """Median milliseconds of a step beside draft and target, which cost nothing here."""
    config = GenerationConfig(max_new_tokens=100_000, **settings)  # type: ignore[arg-type]
    steps = generate(Parrot(), ScriptedDrafter(lambda context, budget: tree), [0, 1], config)
    next(steps), next(steps)
    return median_ms(lambda: next(steps), num_steps)


def median_ms(call: Callable[[], object], num_times: int) -> float:
    """By the clock: a row's work is shared among threads. Nothing else may run meanwhile."""
    found = []
    for _ in range(num_times):
        started = time.perf_counter()
        call()
        found.append(1e3 * (time.perf_counter() - started))
    return statistics.median(found[2:])


def main() -> None:
    """Print a table."""
    num_steps = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    logits = Parrot().logits
    base = median_ms(lambda: logits.softmax(dim=1).topk(5, dim=1), num_steps)
    print(f"softmax and top-5 of all {NUM_NODES + 1} rows through torch: {base:.2f} ms, the unit of what follows")
    for name, tree in {"tree": bushy(), "chain": chain(range(NUM_NODES))}.items():
        num_parents = len(set(tree.parents))
        for title, settings in SETTINGS.items():
            ms = host_ms(tree, cast("dict[str, object]", settings), num_steps)
            print(f"{name} ({num_parents} rows with children), {title}: {ms:.2f} ms = {ms / base:.3f}")


if __name__ == "__main__":
    main()
