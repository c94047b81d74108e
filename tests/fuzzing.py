"""Hostile input for everything that reads what others wrote: from what is right, changed at random places.

The suite tries a few inputs of each reader; `python -m tests.trials.fuzz` as many as there is time for.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr

from engine.drafters.heads import _weights
from engine.errors import BadInput, EngineError
from engine.events import to_dict
from engine.suites.questions import questions
from specviz import ui
from specviz.api import Api
from specviz.archive import lines
from specviz.bench import document, foreign, shelf
from specviz.decoding import request
from specviz.figures import bench as bench_figures
from specviz.pages import exports, view
from specviz.pages.inspector import Inspector
from specviz.pages.saved import SavedRuns
from specviz.pages.side_by_side import side_by_side
from specviz.policy import PUBLIC
from specviz.showing import listing
from specviz.showing.channel import Streams
from specviz.store import Store, StoreError
from tests.fuzzed_checkpoints import Checkpoints
from tests.right_inputs import (
    ADDRESS,
    CALLS,
    EXPORT,
    FILES,
    FORM,
    LISTING,
    RACE,
    REPORT,
    SUITE,
)
from tests.scripted import ScriptedDevice
from tests.specviz.stored import HOSTILE, copy_of, session

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**46, 2**53, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *(
        "",
        " ",
        "x",
        HOSTILE,
        "\ud800",
        "x" * 300,
        "../../etc/passwd",
        "2026-01-01",
        "9999-12-31T23:59:59+00:00",
        "=1+1",
    ),
    *([], {}, [[]], [None], {"": None}, {"kind": "stepped"}, [{}] * 3, "true", "[1]", "{", "[" * 3_000, "%", "🟥"),
)
ALLOWED = (EngineError, StoreError)


def changed(value: Any, chance: random.Random, times: int = 2) -> Any:
    """A copy in which something is another value, missing, twice, or where it does not belong."""
    value = copy.deepcopy(value)
    for _ in range(times):
        holder, key = _place(value, chance)
        if holder is None:
            return chance.choice(ODD)
        act = chance.randrange(6)
        if act == 0 and isinstance(holder, dict):
            del holder[key]
        elif act == 1 and isinstance(holder, list):
            holder.insert(chance.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
        elif act == 2 and isinstance(holder, dict):
            holder[str(chance.choice(ODD))[:20]] = chance.choice(ODD)
        elif act == 3 and isinstance(holder[key], int | float) and holder[key] < 2**60:
            holder[key] = holder[key] + chance.choice((-1, 1, 1_000_000, -0.5))
        else:
            holder[key] = copy.deepcopy(chance.choice(ODD))
    return value


def _place(value: Any, chance: random.Random) -> tuple[Any, Any]:
    """Some place in it: what holds it, and under which key. None where there is nothing to go into."""
    holder: Any = None
    key: Any = None
    while isinstance(value, dict | list) and value and (holder is None or chance.random() < 0.7):
        holder, key = value, chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
        value = holder[key]
    return holder, key


def spoilt(text: str, chance: random.Random) -> str:
    """A text with some of its characters changed, cut out or doubled."""
    for _ in range(chance.randrange(3)):
        at, length = chance.randrange(len(text) + 1), chance.randrange(8)
        middle = chance.choice(("", str(chance.choice(ODD))[:200], text[at : at + length] * 2))
        text = text[:at] + middle + text[at + length :]
    return text


class Readers:
    """What reads foreign input, over a store with two runs."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.page, self.inspector = SavedRuns(store, Streams()), Inspector(store)
        checkpoints = Checkpoints(folder, changed)
        self.device = ScriptedDevice(most_tokens=PUBLIC.max_tokens)
        asked = SimpleNamespace(device=self.device, policy=PUBLIC, run=_nothing, perform=_nothing)
        self.api = Api(cast(Any, asked), store)
        store.add_copies([copy_of("a"), copy_of("b", method="plain")])
        self.rows = [to_dict(event) for event in session("new")]
        self.targets: dict[str, Callable[[random.Random], object]] = {
            "import": self.import_file,
            "list": lambda chance: listing.parse(changed(LISTING, chance)),
            "export": lambda chance: exports.export(store, changed(EXPORT, chance)),
            "report": self.read_report,
            "address": self.follow,
            "page": self.ask,
            "form": self.fill_in,
            "api": self.call,
            "suite": self.read_suite,
            "checkpoint": self.read_checkpoint,
            "published": checkpoints.convert,
            "model": checkpoints.weigh,
        }

    def import_file(self, chance: random.Random) -> None:
        """Taken in whole and shown everywhere, or refused."""
        rows = [*self.rows, {"kind": "annotations", "tags": ["x"], "note": "n", "audit": {"verdict": "identical"}}]
        given = changed(rows, chance, chance.randrange(1, 4))
        text = "\n".join(map(json.dumps, given if isinstance(given, list) else [given]))
        for run in lines.from_lines(spoilt(text, chance) if chance.random() < 0.3 else text):
            for run_id in self.store.add_copies([run]):
                self._show(run_id)
                self.store.delete_run(run_id)

    def _show(self, run_id: str) -> None:
        for told in (self.page.open(run_id), self.inspector.read(run_id), self.page.find({})):
            assert "error" not in json.loads(told), told[:300]
        side_by_side(self.store, ["a", run_id])
        for kind in exports.KINDS:
            exports.export(self.store, {"kind": kind, "ids": [run_id]})

    def read_report(self, chance: random.Random) -> None:
        text = json.dumps(changed(REPORT, chance))
        report = foreign.read(spoilt(text, chance) if chance.random() < 0.3 else text)
        whole = shelf.with_figures(report)
        bench_figures.heat(whole)
        for kind in document.KINDS:
            document.write(whole, kind)

    def follow(self, chance: random.Random) -> None:
        query = view.known(view.place(spoilt(ADDRESS, chance)))
        ui.arrival([(self.page, 2), (self.inspector, 1)], query)

    def ask(self, chance: random.Random) -> None:
        """A handler of the page answers a sentence for whatever comes."""
        asked = {
            self.page.find: LISTING,
            self.page.mark: {"action": "tag", "ids": ["a"], "text": "x", "visitor": "a" * 32},
            self.page.export: EXPORT,
            self.page.take_in: {"text": json.dumps(self.rows[0]), "visitor": "a" * 32},
            self.page.compare: ["a", "b"],
        }
        handler, right = chance.choice(list(asked.items()))
        answer = json.loads(handler(changed(right, chance)))
        assert "broke" not in answer.get("error", ""), answer
        for read in (self.page.open, self.inspector.read):
            json.loads(read(changed(["a"], chance)))

    def fill_in(self, chance: random.Random) -> None:
        """What a page asks to have run, at home or in public."""
        self.device.takes_own = chance.random() < 0.5
        parse, right = chance.choice(((request.parse, FORM), (request.parse_race, RACE)))
        text = json.dumps(changed(right, chance, chance.randrange(1, 4)))
        asked = ["Hi", "toy", spoilt(text, chance) if chance.random() < 0.3 else text, "private"]
        parse(self.device, *(changed([value], chance, chance.random() < 0.1)[0] for value in asked))

    def call(self, chance: random.Random) -> None:
        """A named endpoint with any JSON as its arguments; nothing is decoded behind it."""
        name, right = chance.choice(list(CALLS.items()))
        given = {key: changed([value], chance)[0] if chance.random() < 0.3 else value for key, value in right.items()}
        try:
            getattr(self.api, name)(**given)
        except gr.Error as error:
            if error.message != "Nothing was run.":
                raise BadInput(error.message) from error

    def read_suite(self, chance: random.Random) -> None:
        file = self.folder / "suite.jsonl"
        text = "\n".join(map(json.dumps, changed(SUITE, chance, 2))) if chance.random() < 0.8 else "[" * 5_000
        file.write_bytes(spoilt(text, chance).encode("utf-8", "surrogatepass"))
        questions(str(file))

    def read_checkpoint(self, chance: random.Random) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            folder = Path(name)
            for file, right in FILES.items():
                text = json.dumps(changed(right, chance))
                (folder / file).write_text(spoilt(text, chance), encoding="utf-8", errors="surrogatepass")
            weights = _weights.Weights("medusa", folder, _weights._read_config(folder), {})
            for read in (
                lambda: weights.number("vocab_size"),
                weights.shape,
                weights.shares,
                lambda: weights.vocabulary(100),
                lambda: _weights._load("medusa", folder),
            ):
                with contextlib.suppress(*ALLOWED):
                    read()


def _nothing(*_: object, **__: object) -> Iterator[Any]:
    """In place of a run."""
    yield from ()


def tried(target: Callable[[random.Random], object], chance: random.Random) -> bool:
    """Whether the input was taken; what it was refused with is as it should be, or raised."""
    refusal = ""
    try:
        target(chance)
    except ALLOWED as error:
        refusal = str(error)
    assert "\n" not in refusal, refusal
    assert len(refusal) < 1_000, refusal
    return not refusal
