"""What a compiled target pass costs on this machine, as ratios within one run (docs/log.md keeps the results).

    python scripts/pass_costs.py MODEL [--dtype bf16] [--context 256]

Prints the time to read the weights once by the same threads, a pass by its number of rows beside that and beside one
row, and how the work of a pass is shared among its phases.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from engine import models
from engine.runtime.compiled import njit
from engine.runtime.cpu.crew import CREW, DONE, NEXT, enter, finish, leave
from engine.runtime.cpu.vectors import atomic_add
from engine.runtime.cpu.whole_pass import ATTEND, DOWN, GATE_UP, MLP_NORM, NORM, NUM_PHASES, OUTPUT, PACK, QKV, ROTATE
from engine.target import Target
from engine.tree import EMPTY_TREE, chain
from engine.warming import warm_up

NUM_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
FINAL_NORM, OUTPUT_LAYER = NUM_PHASES, NUM_PHASES + 1
"""Where a pass counts what comes behind its layers."""
PARTS = {
    "products": (QKV, OUTPUT, GATE_UP, DOWN, OUTPUT_LAYER),
    "attention": (PACK, ATTEND),
    "norms, rotation": (NORM, ROTATE, MLP_NORM, FINAL_NORM),
}
ROUNDS = 15
PARTS_OF_A_MATRIX = 64


@njit(nogil=True)
def read(thread: int, number: int, control: Any, matrices: Any, out: Any) -> None:
    """Look at every number of all matrices once."""
    if not enter(control, number):
        return
    total = len(matrices) * PARTS_OF_A_MATRIX
    unit = atomic_add(control, NEXT, 1)
    while unit < total:
        matrix = matrices[unit // PARTS_OF_A_MATRIX]
        size = len(matrix) // PARTS_OF_A_MATRIX
        begin = unit % PARTS_OF_A_MATRIX * size
        found = np.uint64(0)
        for i in range(begin, begin + size):
            found ^= matrix[i]
        out[thread] ^= found
        atomic_add(control, DONE, 1)
        unit = atomic_add(control, NEXT, 1)
    if thread == 0:
        finish(control, total)
    leave(control)


def passes(target: Target, num_rows: int) -> Callable[[], None]:
    """What runs one pass of so many rows and leaves the context as it was."""
    tree = chain([7] * (num_rows - 1)) if num_rows > 1 else EMPTY_TREE

    def run() -> None:
        target.score(3, tree)
        target.discard()

    return run


def timed(calls: dict[Any, Callable[[], None]]) -> dict[Any, list[float]]:
    """Milliseconds of each call in turn, round after round, so that all see the same machine."""
    found: dict[Any, list[float]] = {key: [] for key in calls}
    for turn in range(ROUNDS + 1):
        for key, call in calls.items():
            started = time.perf_counter()
            call()
            if turn:  # the first round warms up
                found[key].append(1000 * (time.perf_counter() - started))
    return found


def ratio(times: list[float], others: list[float]) -> float:
    """Median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(times, others, strict=True))


def shares(target: Target, num_rows: int) -> dict[str, float]:
    """Share of the threads' busy time by part of a pass."""
    decoder: Any = target.runner._decoder
    decoder.memory.spent[:] = 0
    for _ in range(ROUNDS):
        passes(target, num_rows)()
    spent = decoder.memory.spent.sum(axis=0)
    return {name: float(spent[list(phases)].sum() / spent.sum()) for name, phases in PARTS.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description="What a compiled target pass costs here.")
    parser.add_argument("model")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--context", type=int, default=256, help="tokens before the pass")
    args = parser.parse_args()
    target = Target(models.load(args.model, "cpu", args.dtype))
    decoder = target.runner._decoder
    if decoder is None:
        print(f"{args.model} runs through transformers' own forward, not compiled.", file=sys.stderr)
        return 2
    warm_up(target)
    target.prefill([5] * args.context)
    matrices = tuple(matrix.reshape(-1).view(np.uint64) for matrix in decoder.weights[:5])
    out = np.zeros(CREW.size * 8, np.uint64)
    calls: dict[Any, Callable[[], None]] = {
        "read": lambda: CREW.run(read, matrices, out, num_threads=CREW.size),
        **{num_rows: passes(target, num_rows) for num_rows in NUM_ROWS},
    }
    times = timed(calls)
    size = sum(matrix.nbytes for matrix in matrices)
    read_ms = statistics.median(times["read"])
    print(f"{args.model}, {target.loaded.dtype}, {CREW.size} threads, {size / 1e6:.0f} MB of weights")
    print(f"read once: {read_ms:.2f} ms, {size / read_ms / 1e6:.0f} GB/s")
    for num_rows in NUM_ROWS:
        own = times[num_rows]
        print(
            f"{num_rows:4d} rows: {statistics.median(own):8.2f} ms, {ratio(own, times[1]):5.2f} of one row, "
            f"{ratio(own, times['read']):5.2f} of one read"
        )
    for num_rows in (1, 16, 64):
        parts = ", ".join(f"{name} {share:.0%}" for name, share in shares(target, num_rows).items())
        print(f"{num_rows:4d} rows: {parts}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
