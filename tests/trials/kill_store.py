"""Kill a process that writes a store, in every phase and at any moment, and look whether what was confirmed is there.

    python -m tests.trials.kill_store --times 1000
    python -m tests.trials.kill_store --times 100 --journal delete

Each round forks a child that opens a store (new, or of a former schema), records, imports, deletes or backs up, and
tells what the store has confirmed; it is killed with SIGKILL while it opens, or up to MOST_S seconds after. Then the
file must pass SQLite's own check, open, hold every confirmed run whole, no run with a gap, of a file all or none, and
no half backup.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from engine.events import SessionStarted, Stepped
from specviz.store import Store, open_store, save_backup
from tests.specviz.stored import FORMER, copy_of, finished, started, stepped

DUMPS = sorted(FORMER.glob("0*.sql"))
MOST_S = 0.8
Tell = Callable[[str, object], None]


def opening(store: Store, tell: Tell) -> None:
    """Nothing behind it: killed while the schema is made or brought up to date, or just after."""
    time.sleep(5)


def recording(store: Store, tell: Tell) -> None:
    for number in range(10_000):
        run = store.begin(started(f"r{number}"))
        for step in range(20):
            run.append(stepped(step))
        if store.flush():
            tell("events", [f"r{number}", 21])
        run.finish(finished())
        if store.flush():
            tell("events", [f"r{number}", 22])


def streaming(store: Store, tell: Tell) -> None:
    run = store.begin(started("long"))
    for step in range(1_000_000):
        run.append(stepped(step))
        time.sleep(0.0005)
        if step % 50 == 0 and store.flush():
            tell("events", ["long", step + 2])


def importing(store: Store, tell: Tell) -> None:
    for number in range(10_000):
        ids = [f"f{number}.{place}" for place in range(20)]
        store.add_copies([copy_of(run_id) for run_id in ids])
        tell("file", ids)


def deleting(store: Store, tell: Tell) -> None:
    store.add_copies([copy_of(f"d{number}") for number in range(60)])
    for number in range(60):
        store.delete_run(f"d{number}")
        tell("gone", f"d{number}")


def backing_up(store: Store, tell: Tell) -> None:
    store.add_copies([copy_of(f"b{number}") for number in range(200)])
    path = Path(str(store._database.engine.url.database))
    for number in range(1_000):
        save_backup(path, path.with_name(f"kept{number}.db"))
        tell("backup", f"kept{number}.db")


PHASES = (opening, recording, streaming, importing, deleting, backing_up)


def child(act: Callable[[Store, Tell], None], path: Path, pipe: int) -> None:
    def tell(kind: str, what: object) -> None:
        os.write(pipe, (json.dumps([kind, what]) + "\n").encode())

    if act is opening:
        tell("begun", 0)
    with open_store(path) as store:
        if act is not opening:
            tell("begun", 0)
        act(store, tell)


def killed(act: Callable[[Store, Tell], None], path: Path, after_s: float) -> list[tuple[str, object]]:
    """What the child was told is safe."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        try:
            child(act, path, theirs)
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, encoding="utf-8") as told:
        told.readline()
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return [tuple(json.loads(line)) for line in told if line.endswith("\n")]


def faults(path: Path, told: list[tuple[str, object]]) -> list[str]:
    """What is wrong with what was left; empty where nothing is."""
    found = _damage(path)
    with open_store(path) as store:
        there = {run.id: run for run in store.list_runs(100_000)}
        for kind, what in told:
            if kind == "events" and len(store.events(what[0])) < what[1]:  # type: ignore[index]
                found.append(f"{what} lost events")
            if kind == "file" and not set(what) <= set(there):  # type: ignore[call-overload]
                found.append(f"{what} of a file lost")
            if kind == "gone" and what in there:
                found.append(f"{what} is back")
        for run in there.values():
            events = store.events(run.id)
            steps = [event for event in events if isinstance(event, Stepped)]
            if not isinstance(events[0], SessionStarted) or [step.step for step in steps] != list(range(len(steps))):
                found.append(f"{run.id} has a gap")
            if run.status == "running":
                found.append(f"{run.id} is still running")
        files = collections.Counter(run_id.partition(".")[0] for run_id in there if run_id.startswith("f"))
        found += [f"half of file {name}" for name, count in files.items() if count != 20]
    for kept in path.parent.glob("kept*.db"):
        found += _damage(kept)
    return found


def _damage(path: Path) -> list[str]:
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        checked = (
            connection.execute("PRAGMA integrity_check").fetchall()
            + connection.execute("PRAGMA foreign_key_check").fetchall()
        )
    return [] if checked == [("ok",)] else [f"{path.name}: {checked[:3]}"]


def round_of(act: Callable[[Store, Tell], None], chance: random.Random, folder: Path) -> tuple[list[str], int]:
    """Faults, and how many confirmations there were."""
    path = folder / "runs.db"
    if act is opening and chance.random() < 0.7:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(chance.choice(DUMPS).read_text(encoding="utf-8"))
    told = killed(act, path, chance.uniform(0.0, MOST_S))
    return faults(path, told), len(told)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--journal", choices=("wal", "delete"))
    flags = parser.parse_args()
    if flags.journal:
        os.environ["SPECVIZ_DB_JOURNAL"] = flags.journal
    chance, num_faults = random.Random(flags.seed), 0
    rounds, confirmed = collections.Counter[str](), collections.Counter[str]()
    for number in range(flags.times):
        act = PHASES[number % len(PHASES)]
        with tempfile.TemporaryDirectory(prefix="kill") as folder:
            found, num_told = round_of(act, chance, Path(folder))
        rounds[act.__name__] += 1
        confirmed[act.__name__] += num_told
        num_faults += bool(found)
        for fault in found:
            print(f"round {number}, {act.__name__}: {fault}", flush=True)
    for name, count in rounds.items():
        print(f"{name:12}{count:6} kills {confirmed[name]:8} confirmations")
    print(f"{sum(rounds.values())} kills, {num_faults} with a fault")
    return 1 if num_faults else 0


if __name__ == "__main__":
    sys.exit(main())
