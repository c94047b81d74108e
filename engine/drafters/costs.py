"""What passes and drafts cost on this machine, in units of a target pass of one row.

The curve by rows says what a draft of m - 1 tokens costs where none is accepted, and so how much of a method's block
efficiency can become speed; the dearer a draft, the more nodes it should have, since its cost is spread over what is
accepted. Drafters that fit their trees are handed `Costs` before a session (`Drafter.fit`). Measured on first use, on
a session of its own, in a second or two: of a large model few passes, and without a context to speak of, since there
weights are what a pass waits for. What other programs take of the machine only adds to a time, so the least of several
counts, and there are more of them where they do not agree. The bench reports the curve as it was measured, by medians
(`row_costs`).
"""

from __future__ import annotations

import functools
import statistics
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.config import GenerationConfig
from engine.drafters.base import Context, Drafter, Room
from engine.noise import Noise
from engine.sampling import displayed
from engine.tree import MAX_BUDGET, DraftTree

if TYPE_CHECKING:
    from engine.target import Target

NUM_ROWS = (1, 2, 4, 8, 16, 32, 64)
FIRST_DEAR = 8
"""From these rows on a pass is taken to cost more for each."""
CONTEXT_LENGTH = 256
SLOW_PASS_S = 0.05
"""A pass of one row that takes longer is measured in hardly any context."""
MAX_ROUNDS = 30
FEWEST_PASSES = 3
NUM_DRAFT_ROUNDS = 8
NUM_DRAFT_NODES = 16
_SECONDS = 1.0
"""That measuring rows, or a draft, may begin further passes in."""
_BUSY_SECONDS = 4.0
"""The same of rows where the least times of a number of them differ by more than `_AGREEMENT`."""
_AGREEMENT = 0.1


@dataclass(frozen=True)
class RowCost:
    """A pass of `num_rows` rows."""

    num_rows: int
    ms: float
    """Median wall-clock of a pass, logits of every row included."""
    ratio: float
    """Its time ÷ that of a pass of one row."""


class Costs:
    """Costs on one loaded model, for all of its sessions."""

    def __init__(self, open_session: Callable[[], Target]) -> None:
        """`open_session` gives a session of the target that nobody else uses; it is called when first needed."""
        self._open = open_session
        self._rows: tuple[float, ...] = ()
        self._one_row_ms = 0.0
        self._exits: tuple[float, float] | None = None
        self._drafts: weakref.WeakKeyDictionary[object, float] = weakref.WeakKeyDictionary()
        self._every_draft: float | None = None

    @classmethod
    def known(
        cls,
        rows: Sequence[float],
        draft: float = 0.0,
        one_row_ms: float = 1.0,
        exits: tuple[float, float] = (0.05, 0.1),
    ) -> Costs:
        """Costs that need no measuring: entry n of `rows` is a pass of n + 1 rows ÷ one of one row; of any draft."""

        def nobody() -> Target:
            raise AssertionError("These costs are known.")

        costs = cls(nobody)
        costs._rows, costs._one_row_ms, costs._every_draft, costs._exits = tuple(rows), one_row_ms, draft, exits
        return costs

    @property
    def rows(self) -> tuple[float, ...]:
        """Entry n: a pass over root and n nodes ÷ one over the root alone, as `roofline` smooths it."""
        if not self._rows:
            found = _least_times(self._open())
            self._one_row_ms = 1000 * found[1]
            self._rows = roofline(list(found), [least / found[1] for least in found.values()], MAX_BUDGET + 1)
        return self._rows

    def ms(self, num_rows: int) -> float:
        """Time of a pass of so many rows."""
        return self.rows[num_rows - 1] * self._one_row_ms

    @property
    def exits(self) -> tuple[float, float]:
        """Of a token that leaves early, ÷ a pass of one row: each layer, and what it costs beside its layers."""
        if self._exits is None:
            self._exits = _exit_costs(self._open())
        return self._exits

    def draft(self, drafter: Drafter, network: object) -> float:
        """A proposal by this drafter ÷ a pass of one row; measured once for a `network`, which sessions share."""
        if self._every_draft is not None:
            return self._every_draft
        if network not in self._drafts:
            self._drafts[network] = _draft_cost(drafter, self._open())
        return self._drafts[network]


def of(target: Target) -> Costs:
    """The costs that are kept with a loaded model."""
    return target.facts.keep("costs", lambda: Costs(target.beside))


def roofline(num_rows: Sequence[int], ratios: Sequence[float], most: int | None = None) -> tuple[float, ...]:
    """Costs of 1 to `most` rows (the most measured): 1 as long as weights are waited for, then a line that rises.

    A few passes are soon timed and noisy, and the number of nodes that pays hangs on small differences; the line is
    fitted, with equal relative errors, from where rows begin to cost.
    """
    dear = [place for place, rows in enumerate(num_rows) if rows >= FIRST_DEAR]
    begin = min(dear[0] if dear else len(ratios), len(ratios) - 2) if len(ratios) > 1 else 0
    rows, costs = np.asarray(num_rows[begin:], float), np.asarray(ratios[begin:])
    slope, base = np.polyfit(rows, costs, 1, w=1 / costs) if len(rows) > 1 else (0.0, 1.0)
    every = np.arange(1, (most or num_rows[-1]) + 1)
    smoothed = np.maximum(1.0, base + max(slope, 0.0) * every)
    # Where all passes of several rows were slow the line passes above the one row that they are measured by.
    return (1.0, *(float(cost) for cost in smoothed[1:]))


def row_costs(target: Target, seconds: float = 5.0) -> tuple[int, list[RowCost]]:
    """Tokens of context, and the cost of each of `NUM_ROWS` that fits beside them. Ends a session.

    Every round times each number once; there are 3 to 30 rounds behind one that warms up, as many as fit `seconds`.
    """
    num_context = min(CONTEXT_LENGTH, target.max_context // 2)
    sizes = [num_rows for num_rows in NUM_ROWS if num_context + num_rows <= target.max_context]
    target.prefill([0] * num_context)
    times: dict[int, list[float]] = {size: [] for size in sizes}
    deadline = time.monotonic() + seconds
    for turn in range(MAX_ROUNDS + 1):
        for size in sizes:
            times[size].append(_pass_time(target, size))
        if turn >= 3 and time.monotonic() > deadline:
            break
    target.prefill([])
    ms = {size: 1000 * statistics.median(found[1:]) for size, found in times.items()}
    return num_context, [RowCost(size, median, median / ms[1]) for size, median in ms.items()]


def _least_times(session: Target) -> dict[int, float]:
    """Seconds of what `roofline` needs: one row and the dear numbers, in turns while there is time; at least three."""
    num_context = _context_length(session)
    dear = (size for size in NUM_ROWS if size >= FIRST_DEAR and num_context + size <= session.max_context)
    sizes = [1, *dear]
    session.prefill([0] * num_context)
    times: dict[int, list[float]] = {size: [] for size in sizes}
    started = time.monotonic()
    for turn in range(len(sizes) * (MAX_ROUNDS + 1)):
        patience = _SECONDS if all(map(_agree, times.values())) else _BUSY_SECONDS
        if turn >= FEWEST_PASSES and time.monotonic() - started > patience:
            break
        size = sizes[turn % len(sizes)]
        times[size].append(_pass_time(session, size))
    return {size: min(found) for size, found in times.items() if found}


def _agree(times: Sequence[float]) -> bool:
    """Whether the two least show that nothing else took long."""
    least = sorted(times)[:2]
    return len(least) == 2 and least[1] <= (1 + _AGREEMENT) * least[0]


def _exit_costs(session: Target) -> tuple[float, float]:
    """By the times of a token that leaves behind the first layer, and of one that does behind the last."""
    session.prefill([])
    num_layers = session.runner.num_layers

    def leave(layer: int) -> None:
        states = session.runner.extend([0], [-1], layers=range(layer), num_logits=0).states
        assert states is not None
        displayed(session.runner.scores(states), GenerationConfig())
        session.discard()

    times: list[tuple[float, float, float]] = []
    deadline = time.monotonic() + _SECONDS / 2
    while len(times) < 1 + FEWEST_PASSES or (len(times) <= MAX_ROUNDS and time.monotonic() < deadline):
        first, last = (_seconds(session, functools.partial(leave, layer)) for layer in (1, num_layers))
        times.append((_pass_time(session, 1), first, last))
    one, first, last = np.min(times, axis=0)
    layer = max(0.0, (last - first) / max(1, num_layers - 1))
    return float(layer / one), float(max(0.0, first - layer) / one)


def _draft_cost(drafter: Drafter, session: Target) -> float:
    """Each proposal behind a pass, as in a session: the pass has taken the caches."""
    ids = [0] * max(2, _context_length(session))
    context = Context(ids, GenerationConfig(), Noise(0))
    session.hidden_layers = drafter.needs.hidden_layers
    context.prompt_hidden = session.prefill(ids[:-1])
    drafter.start(context)
    rounds: list[tuple[float, float]] = []
    deadline = time.monotonic() + _SECONDS
    while len(rounds) < 2 or (len(rounds) <= NUM_DRAFT_ROUNDS and time.monotonic() < deadline):
        waited = _pass_time(session, 1)
        rounds.append((waited, _seconds(session, lambda: drafter.propose(context, Room(NUM_DRAFT_NODES)))))
    passes, drafts = zip(*rounds, strict=True)
    return float(min(drafts) / min(passes))


def _context_length(session: Target) -> int:
    """Tokens of context to measure in."""
    session.prefill([])
    one_row = min(_pass_time(session, 1) for _ in range(2))
    return 1 if one_row > SLOW_PASS_S else min(CONTEXT_LENGTH, session.max_context // 2)


def _pass_time(session: Target, num_rows: int) -> float:
    """Seconds of a pass, whose rows are dropped: the context stays as long as it is said to be."""
    tree = DraftTree((0,) * (num_rows - 1), (-1,) * (num_rows - 1))
    taken = _seconds(session, lambda: session.score(0, tree))
    session.discard()
    return taken


def _seconds(session: Target, work: Callable[[], object]) -> float:
    session.synchronise()
    started = time.perf_counter()
    work()
    session.synchronise()
    return time.perf_counter() - started
