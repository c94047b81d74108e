"""Record the race that Compare shows before there is another: `python scripts/record_race.py [MODEL]`.

Plain decoding and a drafter for each way of drafting (copying from the text, a table that learns, a trained network)
on one example, run as the page runs them, and written to assets/race.jsonl as the page exports runs. Record on a quiet
machine: the figures are shown as its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from engine.config import GenerationConfig
from specviz.archive.lines import to_text
from specviz.decoding.desk import Desk
from specviz.decoding.device import Request
from specviz.decoding.local import LocalDevice
from specviz.explaining.examples import examples
from specviz.race.course import KIND, course
from specviz.showing.notices import Happening
from specviz.store import Store, open_store

RECORDING = Path(__file__).resolve().parents[1] / "assets" / "race.jsonl"
MODEL = "smollm2-135m"
EXAMPLE = "code-primes"
LANES = {"plain": {}, "mlp_speculator": {}, "prompt_lookup": {}, "token_recycling": {}}
NUM_TOKENS = 96


def main(model: str = MODEL) -> int:
    """Race once and keep the runs, in the order of the lanes."""
    prompt = next(example.prompt for example in examples() if example.id == EXAMPLE)
    config = GenerationConfig(max_new_tokens=NUM_TOKENS)
    lanes = [Request(prompt, model, method, options, config) for method, options in LANES.items()]
    with open_store(":memory:") as store:
        course(lanes).do(Desk(LocalDevice(model), store, said, lambda: False))
        store.flush()
        RECORDING.write_text(to_text(store.copy(run_id) for run_id in raced(store)), encoding="utf-8")
    return 0


def raced(store: Store) -> list[str]:
    """The ids of the race's runs, lane by lane."""
    (group,) = store.list_groups(kind=KIND)
    return [lane["run_id"] for lane in group.details["lanes"]]


def said(happening: Happening) -> None:
    """Nobody looks on."""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
