"""The page over a scripted device, for the browser tests, twice in one process: `--port` for one visitor at home,
`--public-port` for many with runs of their own. Both have one store, runs.db in `--folder`.

A prompt "drop …" loses every third message and the last one. A prompt "count …" writes 0 1 2 and so on, as fast as the
page takes it; "slowly count …" at the pace of a fast model, both in paragraphs of fifty unless asked for in one line.
A prompt "hold NAME …" stands still, past its beginning, until there is a file NAME in the folder or the run is stopped;
"hold NAME 2 …" in the second run of that prompt, warm-ups not counted. So a test sees a run that is going on for as
long as it likes. The same holds for a benchmark, which measures a tiny model, behind its run of such a prompt.

The store holds a run "long": 500 steps with trees of 60 nodes, every word hostile.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import os
import random
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from scripted import ScriptedDevice, started
from scripted_kinds import HOSTILE, hostile_device

from engine.errors import RunFailed
from engine.events import Candidate, Counts, Emitted, Event, Node, SessionFinished, SessionStarted, Stepped
from engine.models import watch
from engine.options import OptionSpec
from specviz import ui
from specviz.bench import Benchmarks, benchmarks
from specviz.decoding.device import AS_STARTED, Loading, Method, Request
from specviz.decoding.session import GRACE_S, Sessions
from specviz.decoding.visitors import Visitors
from specviz.pages.playground import Playground
from specviz.policy import HOME, PUBLIC
from specviz.race.course import WARM_UP_TOKENS
from specviz.store import database, open_store

NUMBERS = [f" {number}" for number in range(2_000)]
PARAGRAPHS = [f"{text}\n\n" if place % 50 == 49 else text for place, text in enumerate(NUMBERS)]
BROKEN_AT = HELD_AT = 12
"""Events of a run; past those of a warm-up."""
HOLD = re.compile(r"hold (\w+)(?: (\d+))?")
DEPTH = OptionSpec("depth", 10, "How far.", low=1, high=64, unit="tokens")
FALLBACK = OptionSpec("fallback", "none", "Another.", kind="method", words=("none",))
LOOKUP = Method("prompt_lookup", "Prompt lookup", "Copies.", "nobody", "exact", (DEPTH, FALLBACK))
"""A real method, for benchmarks; elsewhere it writes what the scripted one writes."""


@dataclass
class Slow(ScriptedDevice):
    """Takes its time, so that a run is many messages; has a method that breaks in the middle."""

    folder: Path = Path()
    runs_of: collections.Counter[str] = field(default_factory=collections.Counter)
    """Runs so far of each prompt that is held."""

    def methods(self) -> tuple[Method, ...]:
        plain, drafts = super().methods()
        return plain, replace(drafts, name="broken", title="<b>Breaks</b>"), drafts, LOOKUP

    def generate(  # type: ignore[override]
        self, request: Request, session_id: str, should_stop: Callable[[], bool], *rest: Any
    ) -> Generator[Event, None, None]:
        method, prompt, config = request.method, request.prompt, request.config
        words = NUMBERS if "one line" in prompt else PARAGRAPHS
        writer = replace(self, words=words) if "count" in prompt else self
        is_held = config.max_new_tokens > WARM_UP_TOKENS and self.is_held(prompt)
        events = ScriptedDevice.generate(writer, request, session_id, should_stop, *rest)
        for place, event in enumerate(as_decoded(events)):
            if not prompt.startswith("count"):
                time.sleep(0.02)
            if is_held and place == HELD_AT:
                self.hold_until(prompt, should_stop)
            if method == "broken" and place == BROKEN_AT:
                raise RunFailed("It broke: " + HOSTILE[0])
            yield event

    def is_held(self, prompt: str) -> bool:
        """Whether this run of the prompt, the next one, is the one to hold."""
        held = HOLD.search(prompt)
        self.runs_of[prompt] += 1
        return held is not None and self.runs_of[prompt] == int(held[2] or 1)

    def hold_until(self, prompt: str, should_stop: Callable[[], bool]) -> None:
        """Wait for the test or for Stop."""
        held = HOLD.search(prompt)
        while held and not should_stop() and not (self.folder / held[1]).exists():
            time.sleep(0.02)

    def load(self, model: str, loading: Loading = AS_STARTED) -> Any:
        """A tiny model, made when it is first asked for; a visitor's own is scripted, and "own-slow" never ready."""
        while model == "own-slow":
            watch.report("Reading own-slow 40 %")
            time.sleep(0.02)
        if model not in self.models():
            return super().load(model, loading)
        from model_folders import save_model

        from engine import models
        from engine.target import Target

        folder = self.folder / "model"
        return Target(models.load(str(folder if folder.exists() else save_model(folder)), "cpu", "fp32"))


def as_decoded(events: Iterable[Event]) -> Iterator[Event]:
    """The same begun now, each token's id its place in the text, so that equal texts are equal whoever drafted."""
    num_emitted = 0
    for event in events:
        if isinstance(event, SessionStarted):
            event = replace(event, created_at=datetime.now(UTC).isoformat(timespec="microseconds"))
        elif isinstance(event, Stepped):
            places = itertools.count(num_emitted)
            emitted = tuple(replace(token, token_id=place) for token, place in zip(event.emitted, places, strict=False))
            event, num_emitted = replace(event, emitted=emitted), num_emitted + len(emitted)
        yield event


def holding_store_run(self: Benchmarks, work: Any, cell: Any, sessions: Any) -> None:
    """A benchmark stands still where a run of it is held."""
    store_run(self, work, cell, sessions)
    prompt = sessions[0][0].prompt
    if device.is_held(prompt):
        device.hold_until(prompt, self._has_stopped.is_set)


def dropping(self: Playground, prompt: object, *rest: object) -> Generator[str, None, None]:
    """Messages with gaps."""
    messages = complete(self, prompt, *rest)  # type: ignore[arg-type]
    if not str(prompt).startswith("drop"):
        yield from messages
        return
    for place, text in enumerate(held_back(messages)):
        if place % 3 != 1:
            yield text


def held_back(messages: Generator[str, None, None]) -> Generator[str, None, None]:
    """All but the last one."""
    before: str | None = None
    for text in messages:
        if before is not None:
            yield before
        before = text


def branching(step: int, dice: random.Random, num_nodes: int = 60) -> Stepped:
    """A random tree with its first chain accepted as far as the dice say, and a correction."""
    parents = [dice.randrange(-1, i) if dice.random() < 0.6 else i - 1 for i in range(num_nodes)]
    path: list[int] = []
    while len(path) < dice.randrange(6):
        below = [i for i in range(num_nodes) if parents[i] == (path[-1] if path else -1)]
        if not below:
            break
        path.append(below[0])
    survived = {-1, *path}
    texts = [HOSTILE[(step + i) % len(HOSTILE)] for i in range(num_nodes)]
    statuses = [
        "accepted" if i in survived else "rejected" if parents[i] in survived else "unreached" for i in range(num_nodes)
    ]
    nodes = tuple(
        Node(i, texts[i], parents[i], statuses[i], dice.random(), dice.random())  # type: ignore[arg-type]
        for i in range(num_nodes)
    )
    top = tuple(Candidate(i, HOSTILE[i], 0.3 / (i + 1)) for i in range(5))
    is_leaf = not any(parent == (path[-1] if path else -1) for parent in parents)
    emitted = [Emitted(i, texts[i], "accepted", i, 0.5, top) for i in path]
    emitted.append(Emitted(1, HOSTILE[step % len(HOSTILE)], "bonus" if is_leaf else "correction", None, 0.4, top))
    return Stepped(step, 1, nodes, tuple(path), tuple(emitted), 2_000_000, 5_000_000, 100_000, 50_000, 200_000, 60)


def save_long_run(num_steps: int = 500) -> None:
    dice = random.Random(0)
    run = store.begin(started(session_id="long", prompt=HOSTILE[0]))
    for step in range(num_steps):
        run.append(branching(step, dice))
    run.append(SessionFinished("length", Counts(num_steps, 60 * num_steps, num_steps, 2 * num_steps, num_steps), 10**9))
    store.flush()


SOON_S = 0.5
"""On the public page a run without a page is given up at once."""
AMONG_TESTS = replace(
    PUBLIC, max_tokens=2_000, run_seconds=0, race_seconds=0, per_visitor=0, per_address=0, sharing="listed"
)
"""Tests come from one address, hold runs for as long as they like, and look at each other's."""


def launch(port: int, is_public: bool, *, is_last: bool) -> None:
    """A page of its own; the last one keeps the program going."""
    own = replace(device, takes_own=not is_public)
    sessions = Sessions(
        own, store, Visitors(AMONG_TESTS if is_public else HOME), grace_s=SOON_S if is_public else GRACE_S
    )
    page = ui.build(sessions, store)
    options = {"server_name": "127.0.0.1", "quiet": True, **ui.launch_options(frames=["http://127.0.0.1:*"])}
    page.launch(server_port=port, prevent_thread_lock=not is_last, **options)


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--public-port", type=int)
parser.add_argument("--folder", type=Path, required=True)
flags = parser.parse_args()
complete = Playground.messages
Playground.messages = dropping  # type: ignore[method-assign, assignment]
store_run = Benchmarks._store_run
Benchmarks._store_run = holding_store_run  # type: ignore[method-assign]
benchmarks.ROW_COST_S = 0.0
database.BUSY_TIMEOUT_S = 0.5  # a test locks it, and would wait as often as the page tries
store = open_store(str(flags.folder / "runs.db"))
save_long_run()
device = Slow(words=hostile_device().words, folder=flags.folder)
if flags.public_port:
    launch(flags.public_port, True, is_last=False)
launch(flags.port, False, is_last=True)
