"""Give everything that reads foreign input as many wrong inputs as there is time for.

    python -m tests.trials.fuzz --minutes 120
    python -m tests.trials.fuzz --target import --seed 7 --times 1

An input is known by its target and number: a fault is printed with both, and comes again when asked for. Each must be
taken or refused with a sentence, within SLOWEST_S of the processor's own time.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

from specviz.store import open_store

sys.path.append(str(Path(__file__).resolve().parents[1]))  # as pytest has it
from tests.fuzzing import Readers, tried

SLOWEST_S = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--target", help="one alone (default: all in turn)")
    parser.add_argument("--seed", type=int, default=0, help="number of the first input")
    parser.add_argument("--times", type=int, help="of each target (default: as the minutes last)")
    flags = parser.parse_args()
    until = time.monotonic() + 60 * flags.minutes
    inputs, taken, faults = (collections.Counter[str]() for _ in range(3))
    with open_store(":memory:") as store, tempfile.TemporaryDirectory() as folder:
        targets = Readers(store, Path(folder)).targets
        chosen = {flags.target: targets[flags.target]} if flags.target else targets
        number = flags.seed
        while time.monotonic() < until and (flags.times is None or number < flags.seed + flags.times):
            for name, target in chosen.items():
                begun = time.process_time()
                try:
                    taken[name] += tried(target, random.Random(f"{name} {number}"))
                except Exception:  # noqa: BLE001 - whatever it is, it is told and the next input comes
                    faults[name] += 1
                    print(f"--- {name} {number}\n{traceback.format_exc(limit=-4)}", flush=True)
                if time.process_time() - begun > SLOWEST_S:
                    faults[name] += 1
                    print(f"--- {name} {number} took {time.process_time() - begun:.1f} s", flush=True)
                inputs[name] += 1
            number += 1
    for name, count in inputs.items():
        print(f"{name:12}{count:10,} inputs {taken[name]:10,} taken {faults[name]:6} faults")
    print(f"{sum(inputs.values()):,} inputs, {sum(faults.values())} faults")
    return 1 if faults.total() else 0


if __name__ == "__main__":
    sys.exit(main())
