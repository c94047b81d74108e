"""Visitors by script who run, stop, browse and export at once, against a server that is up; what it costs in memory.

    python app.py --port 7999 --db /tmp/load.db --public &
    python -m tests.trials.load http://127.0.0.1:7999 --visitors 1 8 32 --seconds 60
    python -m tests.trials.load http://127.0.0.1:7999 --visitors 4 --seconds 7200 --pid PID --think 6 --curve soak.csv

Each visitor does one thing after another, drawn by lot, and thinks in between. A refusal in a sentence (the line is
full, a run goes on) is counted apart; anything else that is no answer is an error. `--pid`: the server's memory, told
each minute and kept as a row of `--curve`. A trial that is halted by a signal and goes on has the same number of
seconds in it: what counts is time in which the visitors could act.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

PATIENCE_S = 300.0
HALT_S = 10.0
WEIGHTS = {"run": 3, "stop": 1, "browse": 6, "search": 3, "export": 2}


class Refused(Exception):
    """With a sentence."""


@dataclass
class Told:
    """What happened to all visitors together."""

    times_s: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    refused: collections.Counter[str] = field(default_factory=collections.Counter)
    errors: list[str] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)


class Visitor:
    """One client of the named endpoints."""

    def __init__(self, address: str, chance: random.Random) -> None:
        self.chance = chance
        self.client = httpx.Client(base_url=address, timeout=httpx.Timeout(PATIENCE_S, connect=30.0))
        self.endpoints = self.client.get("/gradio_api/info").json()["named_endpoints"]
        self.acts: dict[str, Callable[[], object]] = {
            "run": lambda: self.ask(
                "generate", prompt="A story of a fox.", max_new_tokens=16, measure_plain=False, sharing="listed"
            ),
            "stop": self.go_away,
            "browse": self.browse,
            "search": lambda: self.ask("list", search=self.chance.choice(("fox", "story", "nothing"))),
            "export": self.export,
        }

    def ask(self, endpoint: str, **values: object) -> object:
        with self.answer(endpoint, values) as answer:
            return _result(answer.iter_lines())

    def answer(self, endpoint: str, values: dict[str, object]) -> AbstractContextManager[httpx.Response]:
        parameters = self.endpoints[f"/{endpoint}"]["parameters"]
        data = [values.get(one["parameter_name"], one.get("parameter_default")) for one in parameters]
        begun = self.client.post(f"/gradio_api/call/{endpoint}", json={"data": data})
        begun.raise_for_status()
        return self.client.stream("GET", f"/gradio_api/call/{endpoint}/{begun.json()['event_id']}")

    def go_away(self) -> None:
        """Ask for a long run and hang up."""
        with self.answer("generate", {"prompt": "A long story.", "method": "plain", "max_new_tokens": 64}):
            time.sleep(self.chance.random())

    def browse(self) -> None:
        rows = self.ask("list")
        if isinstance(rows, list) and rows:
            self.ask("get", run_id=self.chance.choice(rows)["id"])

    def export(self) -> None:
        rows = self.ask("list", status="finished", limit=5)
        if isinstance(rows, list) and rows:
            self.ask("export", run_ids=[row["id"] for row in rows], kind=self.chance.choice(("jsonl", "csv")))


def _result(lines: Iterator[str]) -> object:
    event = ""
    for line in lines:
        kind, _, rest = line.partition(": ")
        if kind == "event":
            event = rest
        elif kind == "data" and event == "complete":
            return json.loads(rest)[0]
        elif kind == "data" and event == "error":
            told = json.loads(rest)
            if not (told or {}).get("error"):
                raise ConnectionError(f"an error without a sentence: {rest[:200]}")
            raise Refused(told["error"][:200])
    raise ConnectionError("the answer broke off")


class Spell:
    """So many seconds, of those in which this program was running: a look that comes late was a halt."""

    def __init__(self, seconds: float) -> None:
        self.left_s, self.ran_s = seconds, 0.0

    def pass_by(self) -> None:
        """Returns when they are over."""
        looked = time.monotonic()
        while self.left_s > 0:
            time.sleep(min(1.0, self.left_s))
            looked, before = time.monotonic(), looked
            if looked - before < HALT_S:
                self.left_s -= looked - before
                self.ran_s += looked - before


def visit(address: str, number: int, spell: Spell, think_s: float, told: Told) -> None:
    chance = random.Random(number)
    visitor = Visitor(address, chance)
    while spell.left_s > 0:
        name = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        begun = time.monotonic()
        try:
            visitor.acts[name]()
        except Refused as error:
            with told.guard:
                told.refused[str(error)] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told and the visitor goes on
            with told.guard:
                told.errors.append(f"{name}: {type(error).__name__}: {error}")
        else:
            with told.guard:
                told.times_s[name].append(time.monotonic() - begun)
        time.sleep(chance.uniform(0.0, 2 * think_s))


def watch(pid: int, spell: Spell, curve: Path | None) -> None:
    """One line each minute: seconds of the trial, memory in MB, seconds of processor time, threads."""
    process = psutil.Process(pid)
    if curve:
        curve.write_text("clock,seconds,memory_mb,processor_s,threads\n")
    while spell.left_s > 0:
        used = process.cpu_times()
        row = (spell.ran_s, process.memory_info().rss / 1e6, used.user + used.system, process.num_threads())
        line = time.strftime("%H:%M:%S") + ",{:.0f},{:.0f},{:.1f},{}".format(*row)
        print(line, flush=True)
        if curve:
            with curve.open("a") as file:
                file.write(line + "\n")
        time.sleep(min(60.0, max(0.1, spell.left_s)))


def crowd(address: str, num_visitors: int, flags: argparse.Namespace) -> Told:
    told, spell = Told(), Spell(flags.seconds)
    threads = [
        threading.Thread(target=visit, args=(address, number, spell, flags.think, told))
        for number in range(num_visitors)
    ]
    if flags.pid is not None:
        threads.append(threading.Thread(target=watch, args=(flags.pid, spell, flags.curve)))
    for thread in threads:
        thread.start()
    spell.pass_by()
    for thread in threads:
        thread.join()
    return told


def report(num_visitors: int, told: Told) -> None:
    print(f"{num_visitors} visitors: answers, median and 95th percentile in seconds")
    for name in WEIGHTS:
        times = sorted(told.times_s[name])
        if times:
            print(f"  {name:8}{len(times):7}{statistics.median(times):9.2f}{times[int(0.95 * (len(times) - 1))]:9.2f}")
    print(f"  refused with a sentence: {told.refused.total()}; errors: {len(told.errors)}")
    for text, count in (told.refused + collections.Counter(told.errors)).most_common(8):
        print(f"    {count:5} {text}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("address")
    parser.add_argument("--visitors", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=60.0, help="for each number of visitors")
    parser.add_argument("--pid", type=int, help="the server's process, to tell its memory")
    parser.add_argument("--curve", type=Path, help="a CSV file for what --pid tells")
    parser.add_argument("--think", type=float, default=0.15, help="mean seconds between two acts of a visitor")
    flags = parser.parse_args()
    num_errors = 0
    for num_visitors in flags.visitors:
        told = crowd(flags.address, num_visitors, flags)
        report(num_visitors, told)
        num_errors += len(told.errors)
    return 1 if num_errors else 0


if __name__ == "__main__":
    sys.exit(main())
