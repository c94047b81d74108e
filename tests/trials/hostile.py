"""Bring hostile files to a running `--public` server, as a stranger would, and look what becomes of everybody else.

    python app.py --port 7999 --db /tmp/hostile.db --public &
    python -m tests.trials.hostile http://127.0.0.1:7999

Each file must be refused with a sentence or taken in; what was taken in must lead no list, and open within seconds.
Meanwhile another visitor asks for the list of runs again and again: the longest wait is told.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx

from engine.events import Counts, Emitted, Node, Prefilled, SessionFinished, Stepped
from specviz.archive import lines
from specviz.store import RunCopy
from tests.specviz.stored import started, stepped

SLOWEST_S = 10.0
"""Of one answer, on a busy machine."""
LATE = "9999-12-31T23:59:59+00:00"


def wide(num_nodes: int, num_accepted: int = 1) -> Stepped:
    nodes = tuple(Node(5, "x", place - 1, "accepted", 0.5, 0.5) for place in range(num_nodes))
    tokens = tuple(Emitted(5, "x", "accepted", place, 0.5) for place in range(num_accepted))
    last = Emitted(7, "y", "correction", None, 0.5)
    return dataclasses.replace(stepped(), nodes=nodes, path=tuple(range(num_accepted)), emitted=(*tokens, last))


def run(name: str, *steps: Stepped, created_at: str = LATE) -> str:
    ends = SessionFinished("eos", Counts(len(steps), 0, 0, sum(len(s.emitted) for s in steps), len(steps)), 77)
    events = (started(name, created_at), Prefilled(3, 1000, 3), *steps, ends)
    return lines.to_text([RunCopy(events, audit={"verdict": "identical", "text": "so it says"})])


def files() -> Iterator[tuple[str, str]]:
    """What a stranger may bring, by name."""
    yield "a run of the year 9999", run("late", stepped())
    yield "a step of 30,000 nodes", run("wide", wide(30_000))
    yield "a step of 10,000 nodes, half of them accepted", run("half", wide(10_000, 5_000))
    many = [dataclasses.replace(wide(3_000), step=place) for place in range(15)]
    yield "15 steps of 3,000 nodes", run("many", *many)
    yield (
        "100,000 steps",
        run("long", *(dataclasses.replace(stepped(place), nodes=(), path=()) for place in range(100_000))),
    )
    yield "a prompt of a million ids", run("ids", stepped()).replace("[1,2,3,4]", json.dumps([1] * 1_000_000))
    yield (
        "settings inside each other",
        run("deep", stepped()).replace('"config":{', '"config":{"x":' + "[" * 900 + "]" * 900 + ","),
    )
    yield "50 MB of nothing", " " * 50_000_000
    yield "a speedup of a thousand", run("fast", stepped()) + run("plain", stepped())


class Server:
    """A running instance, asked as its page asks."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=120.0)
        self.components = self.client.get("/config").json()["components"]

    def serve(self, name: str, given: Any) -> dict[str, Any]:
        """The answer of a server function of the page."""
        found = (part["id"] for part in self.components if name in (part.get("props", {}).get("server_fns") or ()))
        asked = {"session_hash": "stranger", "component_id": next(found), "fn_name": name, "data": given}
        answer = self.client.post("/gradio_api/component_server", json=asked)
        answer.raise_for_status()
        told = answer.json()
        return dict(json.loads(told) if isinstance(told, str) else told)


def wait_of_another(address: str, has_ended: threading.Event) -> list[float]:
    other, waits = Server(address), [0.0]
    while not has_ended.wait(0.1):
        begun = time.monotonic()
        other.serve("find_runs", {})
        waits.append(time.monotonic() - begun)
    return waits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("address")
    flags = parser.parse_args()
    server, has_ended, waits = Server(flags.address), threading.Event(), list[float]()
    thread = threading.Thread(target=lambda: waits.extend(wait_of_another(flags.address, has_ended)))
    thread.start()
    faults = []
    for name, text in files():
        begun = time.monotonic()
        answer = server.serve("import_runs", {"text": text, "visitor": "b" * 32})
        told = str(answer.get("error") or f"taken in: {', '.join(answer['added'])}")
        for run_id in answer.get("added", []):
            for asked in ("read", "compare_runs"):
                given = run_id if asked == "read" else [run_id, "long"]
                server.serve(asked, given) if asked == "read" else None
        spent = time.monotonic() - begun
        faults += [name] if spent > SLOWEST_S else []
        print(f"{name}: {len(text) / 1e6:.1f} MB, {spent:.1f} s. {told[:160]}", flush=True)
    has_ended.set()
    thread.join()
    rows = server.serve("find_runs", {})["rows"]
    print(f"First in the list: {[(row['id'][:8], row['when'], row['origin'] or 'measured here') for row in rows[:3]]}")
    print(f"Another visitor waited at most {max(waits):.1f} s for the list, {len(waits)} times")
    faults += (
        ["a claim leads the list"] if rows and rows[0]["when"].startswith("9999") and not rows[0]["origin"] else []
    )
    print(f"{len(faults)} faults {faults}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
