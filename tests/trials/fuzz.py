"""Give everything that reads foreign input as many wrong inputs as are asked for.

    python -m tests.trials.fuzz --inputs 1000000
    python -m tests.trials.fuzz --target import --seed 7 --inputs 1

An input is known by its reader and number: a fault is printed with both, and comes again when asked for. Each must be
taken or refused with a sentence, within SLOWEST_S of the processor's own time. Inputs are spread by SHARES.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from specviz.store import open_store

sys.path.append(str(Path(__file__).resolve().parents[1]))  # as pytest has it
from tests.fuzzing import Readers, tried

SLOWEST_S = 5.0
SHARES = {"import": 0.6, "list": 1.5, "address": 0.3, "page": 0.8, "form": 1.5, "api": 1.5, "checkpoint": 0.5}
SHARES |= {"published": 1.2, "model": 0.1}
"""How many inputs a reader gets, where others get 1: fewer where one takes milliseconds."""
Reader = Callable[[random.Random], object]


@dataclass
class Tally:
    """Of one reader."""

    inputs: int = 0
    taken: int = 0
    faults: int = 0
    seconds: float = 0.0

    def add(self, name: str, number: int, reader: Reader) -> None:
        """One input more."""
        begun = time.process_time()
        try:
            self.taken += tried(reader, random.Random(f"{name} {number}"))
        except Exception:  # noqa: BLE001 - whatever it is, it is told and the next input comes
            self.faults += 1
            print(f"--- {name} {number}\n{traceback.format_exc(limit=-4)}", flush=True)
        spent = time.process_time() - begun
        if spent > SLOWEST_S:
            self.faults += 1
            print(f"--- {name} {number} took {spent:.1f} s", flush=True)
        self.inputs, self.seconds = self.inputs + 1, self.seconds + spent

    def __str__(self) -> str:
        return f"{self.inputs:11,} inputs {self.taken:9,} taken {self.faults:5} faults {self.seconds:8.1f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000, help="in all")
    parser.add_argument("--target", help="one reader alone (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="number of each reader's first input")
    flags = parser.parse_args()
    with open_store(":memory:") as store, tempfile.TemporaryDirectory() as folder:
        readers = Readers(store, Path(folder)).targets
        chosen = {flags.target: readers[flags.target]} if flags.target else readers
        whole = sum(SHARES.get(name, 1.0) for name in chosen)
        faults = total = 0
        for name, reader in chosen.items():
            tally = Tally()
            for number in range(round(flags.inputs * SHARES.get(name, 1.0) / whole)):
                tally.add(name, flags.seed + number, reader)
            print(f"{name:12}{tally}", flush=True)
            faults, total = faults + tally.faults, total + tally.inputs
    print(f"{total:,} inputs, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
