"""What drafting costs on this machine: the time of a proposal ÷ that of a target pass of one row.

The dearer a draft, the more nodes it should have, since its cost is spread over what is accepted (`_shape.best_size`).
Measured once per network, each proposal behind a pass, as in a session: the pass has taken the caches.
"""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.config import GenerationConfig
from engine.drafters.base import Context, Drafter
from engine.noise import Noise
from engine.runtime.row_cost import CONTEXT_LENGTH
from engine.tree import EMPTY_TREE

if TYPE_CHECKING:
    from engine.target import Target

NUM_ROUNDS = 8
NUM_NODES = 16
_KNOWN: weakref.WeakKeyDictionary[object, float] = weakref.WeakKeyDictionary()


def draft_cost(drafter: Drafter, target: Target, network: object) -> float:
    """The cost of a draft by this `network`, which sessions share. Ends a session of the target."""
    if network not in _KNOWN:
        _KNOWN[network] = _measure(drafter, target)
    return _KNOWN[network]


def _measure(drafter: Drafter, target: Target) -> float:
    ids = [0] * min(CONTEXT_LENGTH, target.max_context // 2)
    context = Context(ids, GenerationConfig(), Noise(0))
    target.hidden_layers = drafter.needs.hidden_layers
    context.prompt_hidden = target.prefill(ids[:-1])
    drafter.start(context)

    def run_pass() -> None:
        target.score(0, EMPTY_TREE)
        target.discard()

    # The first round warms up.
    rounds = [
        (_seconds(target, run_pass), _seconds(target, lambda: drafter.propose(context, NUM_NODES)))
        for _ in range(NUM_ROUNDS + 1)
    ][1:]
    target.hidden_layers = ()
    target.prefill([])
    passes, drafts = zip(*rounds, strict=True)
    return float(statistics.median(drafts) / statistics.median(passes))


def _seconds(target: Target, work: Callable[[], object]) -> float:
    target.synchronise()
    started = time.perf_counter()
    work()
    target.synchronise()
    return time.perf_counter() - started
