"""The page over a scripted device, for the browser tests. A prompt "drop …" loses every third message and the last.
A prompt "count …" writes 0 1 2 and so on, as fast as the page takes it; "slowly count …" at the pace of a fast model,
both in paragraphs of fifty unless asked for in one line. `--public`: many visitors, each with runs of their own.

Its store holds a run "long": 500 steps with trees of 60 nodes, every word hostile.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Generator
from dataclasses import replace

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from scripted import HOSTILE, ScriptedDevice, hostile_device, started

from engine.errors import RunFailed
from engine.events import Candidate, Counts, Emitted, Event, Node, SessionFinished, Stepped
from specviz import ui
from specviz.device import Method
from specviz.pages.playground import Playground
from specviz.session import Sessions
from specviz.store import open_store
from specviz.visitors import Visitors

NUMBERS = [f" {number}" for number in range(2_000)]
PARAGRAPHS = [f"{text}\n\n" if place % 50 == 49 else text for place, text in enumerate(NUMBERS)]
BROKEN_AT = 12
"""Past the warm-up of a race."""


class Slow(ScriptedDevice):
    """Takes its time, so that a run is many messages; has a method that breaks in the middle."""

    def methods(self) -> tuple[Method, ...]:
        plain, drafts = super().methods()
        return plain, replace(drafts, name="broken", title="<b>Breaks</b>"), drafts

    def generate(self, *given: object) -> Generator[Event, None, None]:  # type: ignore[override]
        prompt = str(given[3])
        words = NUMBERS if "one line" in prompt else PARAGRAPHS
        writer = replace(self, words=words) if "count" in prompt else self
        for place, event in enumerate(ScriptedDevice.generate(writer, *given)):  # type: ignore[arg-type]
            if not prompt.startswith("count"):
                time.sleep(0.02)
            if given[1] == "broken" and place == BROKEN_AT:
                raise RunFailed("It broke: " + HOSTILE[0])
            yield event


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


complete = Playground.messages
Playground.messages = dropping  # type: ignore[method-assign, assignment]
store = open_store(":memory:")
save_long_run()
device = Slow(words=hostile_device().words)
page = ui.build(Sessions(device, store, Visitors("--public" in sys.argv)), store)
page.launch(
    server_name="127.0.0.1", server_port=int(sys.argv[sys.argv.index("--port") + 1]), quiet=True, **ui.launch_options()
)
