"""Fill a database with made-up runs and time what the Sessions view asks of it.

    python scripts/many_runs.py FILE --runs 100000
    python scripts/many_runs.py FILE --measure

The runs have the size of real ones (a prompt of 30 to 60 words, an output of 160 tokens), but only the first has its
500 steps in full. The others have four that emit one long piece of text each, so that the file is made in minutes.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

from engine.events import (
    Candidate,
    Counts,
    Emitted,
    Event,
    Node,
    Prefilled,
    SessionFinished,
    SessionStarted,
    Stepped,
    to_json,
)
from specviz.store import RunCopy, Store, open_store

BATCH = 1000
METHODS = ("plain", "draft_model", "prompt_lookup", "token_recycling", "aded", "sam_decoding", "lookahead", "copyspec")
TASKS = ("Tell a story", "Retell with changes", "Repair", "Chat", "")
WORDS = (
    "once upon a time there was little girl named lily who loved to play in the garden with her dog spot and they saw "
    "a big red ball under the old tree so she ran home to tell her mother what they had found"
).split()
RARE = "zebra"
"""In one prompt of a thousand."""
LONGEST = 500
FIRST = datetime(2025, 1, 1, tzinfo=UTC)


def text(chance: random.Random, num_words: int) -> str:
    return " ".join(chance.choices(WORDS, k=num_words))


def full_step(chance: random.Random, number: int) -> Stepped:
    """Four tokens with all that the engine says of them."""
    words = [" " + word for word in chance.choices(WORDS, k=4)]
    likeliest = tuple(Candidate(place, word, 0.2) for place, word in enumerate(WORDS[:5]))
    nodes = tuple(Node(place, word, place - 1, "accepted", 0.8, 0.7) for place, word in enumerate(words[:-1]))
    emitted = tuple(Emitted(place, word, "accepted", place, 0.8, likeliest) for place, word in enumerate(words[:-1]))
    last = Emitted(9, words[-1], "bonus", None, 0.5, likeliest)
    path = tuple(range(len(nodes)))
    return Stepped(number, 1, nodes, path, (*emitted, last), 2_000_000, 9_000_000, 300_000, 50_000, 400_000, 60)


def short_step(chance: random.Random, number: int) -> Stepped:
    """As much text as forty tokens have, in one piece."""
    piece = Emitted(9, f" {text(chance, 40)}", "plain")
    return Stepped(number, 1, (), (), (piece,), 0, 9_000_000, 300_000, 50_000, 400_000, 60)


def events(chance: random.Random, number: int) -> tuple[Event, ...]:
    created_at = (FIRST + timedelta(minutes=5 * number, seconds=chance.random())).isoformat(timespec="microseconds")
    prompt = f"Write a story. {text(chance, chance.randint(30, 60))}" + (f" {RARE}" if number % 1000 == 7 else "")
    config = {"temperature": chance.choice((0.0, 0.7, 1.0)), "seed": number % 5, "max_new_tokens": 160, "top_k": 0}
    machine = {"processor": "a processor with a rather long name @ 2.10GHz", "threads": 2, "torch": "2.13.0"}
    method, model = chance.choice(METHODS), chance.choice(("story", "story-small"))
    first = SessionStarted(
        uuid.UUID(int=chance.getrandbits(128)).hex, created_at, prompt, tuple(range(60)), method, {}, "exact", model,
        "cpu", "float32", config, machine,
    )  # fmt: skip
    make, num_steps, per_step = (full_step, LONGEST, 4) if number == 0 else (short_step, 4, 40)
    steps = tuple(make(chance, place) for place in range(num_steps))
    tokens = num_steps * per_step
    end = SessionFinished(
        chance.choice(("eos", "length", "length", "stopped")),
        Counts(num_steps, tokens - num_steps, tokens - num_steps, tokens, num_steps),
        num_steps * chance.randint(9_000_000, 15_000_000),
    )
    return (first, Prefilled(60, 40_000_000, 59), *steps, end)


def copies(num_runs: int) -> Iterator[RunCopy]:
    chance = random.Random(0)
    for number in range(num_runs):
        tags = ("keep",) if number % 50 == 0 else ()
        yield RunCopy(events(chance, number), chance.choice(TASKS), tags)


def fill(store: Store, num_runs: int) -> None:
    batch: list[RunCopy] = []
    for number, copy in enumerate(copies(num_runs), 1):
        batch.append(copy)
        if len(batch) == BATCH or number == num_runs:
            store.add_copies(batch)
            batch = []
            if number % 10_000 == 0:
                print(f"{number:,} of {num_runs:,}", flush=True)


def measure(store: Store) -> None:
    first = store.list_runs(1, is_descending=False)[0].id
    asked: dict[str, Callable[[], object]] = {
        "first page, 50 runs, and their number": lambda: store.find_runs(50),
        "the last page": lambda: store.find_runs(50, store.count_runs() - 50),
        "filter by method": lambda: store.find_runs(50, method="aded"),
        "filter by six at once": lambda: _filter(store),
        "filter by tag": lambda: store.find_runs(50, tag="keep"),
        "search, one in a thousand": lambda: store.find_runs(50, search=RARE),
        "search, in nearly all": lambda: store.find_runs(50, search="garden"),
        "search, none found": lambda: store.find_runs(50, search="giraffe"),
        "sort by speed": lambda: store.list_runs(50, sort="speed"),
        "sort by model, page 1000": lambda: store.list_runs(50, 49_950, sort="model", is_descending=False),
        "values to choose from": store.known_values,
        "events of a 500-step run": lambda: store.events(first),
    }
    print(f"{store.count_runs():,} runs; of 5 times: median and worst, ms; median of the processor's own, ms")
    for name, ask in asked.items():
        times_ms, work_ms = [], []
        for _ in range(5):
            begun, worked = time.perf_counter(), time.process_time()
            ask()
            times_ms.append(1000 * (time.perf_counter() - begun))
            work_ms.append(1000 * (time.process_time() - worked))
        print(f"{name:42}{statistics.median(times_ms):8.0f}{max(times_ms):8.0f}{statistics.median(work_ms):10.0f}")
    print(f"events of that run as JSON: {sum(len(to_json(event)) for event in store.events(first)) / 1e6:.2f} MB")


def _filter(store: Store) -> object:
    days = {"since": date(2025, 2, 1), "until": date(2025, 6, 30)}
    asked = {"method": "aded", "model": "story", "task": "Chat", "status": "finished", "sampling": "greedy", **days}
    return store.find_runs(50, **asked)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", help="the database")
    parser.add_argument("--runs", type=int, default=0, help="how many runs to add")
    parser.add_argument("--measure", action="store_true", help="time the questions of the Sessions view")
    flags = parser.parse_args()
    with open_store(flags.file) as store:
        fill(store, flags.runs)
        if flags.measure:
            measure(store)


if __name__ == "__main__":
    main()
