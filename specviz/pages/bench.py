"""Benchmark: suites × methods × repeats, measured in the background; figures of the one that is open."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gradio as gr
from gradio.components import Component

from engine import models, suites
from engine.errors import BadInput, EngineError
from specviz.bench import EXAMPLE, Asked, Benchmarks, Progress, document, pairs, parse, sheet, speeds
from specviz.bench.keeping import Keeping
from specviz.decoding.device import PLAIN, Device, problems, runnable, told_of
from specviz.pages import own_model
from specviz.pages.asking import model_menu, start_and_stop, visitor_of
from specviz.pages.drawn import QUIET, drawn
from specviz.store import Reader
from specviz.text import printable, to_wire, without_surrogates
from specviz.times import MINUTES, moment

POLL_S = 1.0
MAX_ENTRIES = 40
FIRST_SUITES = {"story": ("story", "retell", "repair"), "general": ("ask", "code", "rewriting")}
"""By the kind of model."""
FIRST_METHODS = ("draft_model", "prompt_lookup", "aded", "token_recycling")
FIRST_NUM_TOKENS = 96
_log = logging.getLogger(__name__)
_GOING_ON = (gr.Timer(active=True), gr.Button(interactive=True))
_AT_REST = (gr.Timer(active=False), gr.Button(interactive=False))
"""Timer and Stop button."""


@dataclass(frozen=True)
class BenchView:
    """The page and its handlers. One benchmark runs at a time, and every visitor sees how far it is."""

    id: ClassVar[str] = "bench"
    title: ClassVar[str] = "Benchmark"
    benchmarks: Benchmarks
    device: Device
    store: Reader

    def arrive(self, query: Mapping[str, str]) -> Sequence[Any]:
        """The benchmark that the address names, else the one that is going on, else the newest."""
        wanted = query.get("run") or self._first()
        return *self._status(), self.board(wanted), {"id": wanted, "num_reports": self.benchmarks.progress.num_reports}

    def board(self, bench_id: object, alert: str = "") -> str:
        """The list of benchmarks and the figures of one, as JSON text."""
        message: dict[str, Any] = {"entries": self._entries(), "open": str(bench_id)[:80], "alert": alert}
        message["mayChange"] = self.keeping.may_change()
        try:
            message |= sheet.of_report(self.benchmarks.shelf.open(str(bench_id)))
        except BadInput as error:
            progress = self.benchmarks.progress
            is_first = bench_id == progress.bench_id and progress.is_going_on
            message["alert"] = alert or ("" if is_first else str(error))
            message["note"] = "The figures appear when the first round is measured." if is_first else ""
        return to_wire(printable(message))

    def start(self, who: gr.Request, *given: object) -> tuple[Any, ...]:
        """The Start button."""
        return self._begin(lambda: self.benchmarks.start(self._parse(given), visitor_of(who)))

    def resume(self, event: gr.EventData, who: gr.Request) -> tuple[Any, ...]:
        """Go on with one that was stopped."""
        bench_id = str(getattr(event, "id", ""))

        def go_on() -> str:
            self.benchmarks.resume(bench_id, visitor_of(who))
            return bench_id

        return self._begin(go_on)

    def stop(self, who: gr.Request) -> Any:
        """The Stop button: the progress, with a sentence where it is not this visitor's to stop."""
        try:
            self.benchmarks.stop(visitor_of(who))
        except BadInput as error:
            return self._status(str(error))[0]
        return gr.skip()

    def open(self, event: gr.EventData) -> tuple[Any, ...]:
        """One of the list was pressed."""
        bench_id = str(getattr(event, "id", ""))
        return self.board(bench_id), {"id": bench_id, "num_reports": self.benchmarks.progress.num_reports}

    def poll(self, shown: Mapping[str, Any]) -> tuple[Any, ...]:
        """How far it is; the figures too where they are open and have changed."""
        progress = self.benchmarks.progress
        has_changed = shown["id"] == progress.bench_id and shown["num_reports"] != progress.num_reports
        if not has_changed and progress.is_going_on:
            return *self._status(), gr.skip(), gr.skip()
        return *self._status(), self.board(shown["id"]), {**shown, "num_reports": progress.num_reports}

    def estimate(self, *given: object) -> str:
        """What the settings would take, in words."""
        try:
            asked = self._parse(given)
            return speeds.in_words(asked, speeds.speeds(asked.model, self.benchmarks.shelf, self.store))
        except EngineError as error:
            return str(error)

    def needs(self, model: object) -> str:
        """What a model of the visitor's own would need, in words."""
        return "" if str(model) in self.device.models() else own_model.fit(self.device, {"model": model})[0]

    def export(self, bench_id: object, kind: object) -> str:
        """A report as a text to save; a sentence of the page where there is none."""
        try:
            report = self.benchmarks.shelf.open(str(bench_id))
            return document.write(report, str(kind))
        except BadInput as error:
            return str(error)

    def beside(self, asked: Any) -> str:
        """Two benchmarks side by side, as JSON text: ids under `first` and `second`."""
        given = asked if isinstance(asked, dict) else {}
        try:
            reports = [self.benchmarks.shelf.open(str(given.get(name))) for name in ("first", "second")]
            return to_wire(printable(pairs.beside(*reports)))
        except BadInput as error:
            return to_wire({"alert": without_surrogates(str(error))})

    def change(self, asked: Any) -> str:
        """Take a report in, rename or delete: `{do, id, text}`. Which is to be open then, as JSON text."""
        given = asked if isinstance(asked, dict) else {}
        try:
            asked = (given.get(name) for name in ("do", "id", "text", "visitor"))
            return to_wire({"open": self.keeping.change(*asked)})
        except BadInput as error:
            return to_wire({"alert": without_surrogates(str(error))})

    @property
    def keeping(self) -> Keeping:
        """Who may change what is kept, and does."""
        return Keeping(self.benchmarks)

    def _parse(self, given: Sequence[object]) -> Asked:
        return parse(self.device, *given)

    def _begin(self, begin: Callable[[], str]) -> tuple[Any, ...]:
        shown = {"id": "", "num_reports": self.benchmarks.progress.num_reports}
        try:
            shown["id"] = begin()
        except EngineError as error:
            return *self._status(str(error)), gr.skip(), gr.skip()
        return *self._status(), self.board(shown["id"]), shown

    def _status(self, alert: str = "") -> tuple[Any, ...]:
        """Progress, timer, and the Stop button."""
        progress = self.benchmarks.progress
        told = to_wire({**told_progress(progress), "alert": without_surrogates(alert)})
        return told, *(_GOING_ON if progress.is_going_on else _AT_REST)

    def _first(self) -> str:
        progress = self.benchmarks.progress
        if progress.is_going_on:
            return progress.bench_id
        return next((entry.id for entry in self.benchmarks.shelf.entries() if entry.num_runs), EXAMPLE)

    def _entries(self) -> list[dict[str, Any]]:
        going_on = self.benchmarks.progress.bench_id if self.benchmarks.progress.is_going_on else ""
        entries = self.benchmarks.shelf.entries()
        return [
            {
                "id": entry.id,
                "title": entry.title,
                "when": moment(entry.created_at, MINUTES),
                "state": "running" if entry.id == going_on else "complete" if entry.is_complete else "stopped",
                "runs": f"{entry.num_runs:,} {'run' if entry.num_runs == 1 else 'runs'}",
            }
            for entry in [*entries[:MAX_ENTRIES], *entries[MAX_ENTRIES:][-1:]]
        ]

    def build(self) -> Sequence[Component]:
        """Lay the page out inside the current tab. Returns progress, timer, Stop, board and what is shown."""
        with gr.Row(elem_classes=["sv-columns"], elem_id="bench-columns"):
            with gr.Column(elem_classes=["sv-controls"], min_width=280):
                with gr.Row(elem_classes=["sv-actions"]):
                    start, stop = start_and_stop("Start", "bench-start", "bench-stop")
                estimate = drawn("bench-estimate", "words")
                inputs = self._controls()
                estimate.value = self.estimate(*(given.value for given in inputs))
            with gr.Column(elem_classes=["sv-main"], min_width=280):
                progress = drawn("bench-progress", "benchprogress")
                board = self._board()
        shown = gr.State({"id": EXAMPLE, "num_reports": 0})
        timer = gr.Timer(POLL_S, active=False)
        outputs = [progress, timer, stop, board, shown]
        start.click(self.start, inputs, outputs, **QUIET)
        stop.click(self.stop, None, [progress], queue=False, **QUIET)
        board.open(self.open, None, [board, shown], **QUIET)
        board.resume(self.resume, None, outputs, **QUIET)
        model, chosen = inputs[:2]
        model.change(lambda name: gr.CheckboxGroup(**suites_for(name)), [model], [chosen], **QUIET)
        timer.tick(self.poll, [shown], outputs, **QUIET)
        gr.on(
            [given.change for given in inputs], self.estimate, inputs, [estimate], trigger_mode="always_last", **QUIET
        )
        return outputs

    def _board(self) -> gr.HTML:
        def export(asked: Any) -> str:
            """One argument is all that a page can hand over."""
            given = asked if isinstance(asked, dict) else {}
            return self.export(given.get("id"), given.get("kind"))

        empty = to_wire({"entries": [], "open": "", "alert": ""})
        serves = {"export": export, "beside": self.beside, "change": self.change}
        return drawn("bench-board", "bench", empty, serves=serves)

    def _model(self) -> gr.Dropdown:
        """The menu of models; where it takes any other, what that one would need stands below."""
        model = model_menu(self.device, "bench-model")
        if self.device.takes_own:
            model.change(self.needs, [model], [drawn("bench-needs", "words")], **QUIET)
        return model

    def _controls(self) -> list[Any]:
        lacking = problems(self.device)
        known = [
            (f"{method.title} (cannot run here)" if method.name in lacking else method.title, method.name)
            for method in self.device.methods()
            if method.name != PLAIN
        ]
        names = [name for name in runnable(self.device) if name != PLAIN]
        first = [name for name in FIRST_METHODS if name in names] or names[:1]
        model = self._model()
        asked = [
            model,
            gr.CheckboxGroup(**suites_for(model.value), label="Suites", elem_id="bench-suites"),
            gr.Number(6, label="Prompts of each suite", precision=0, elem_id="bench-prompts"),
            gr.Textbox(
                label="Prompts of your own",
                info="One per line; or of several lines, between lines of three dashes; or JSON lines with `turns`.",
                lines=2,
                max_lines=8,
                elem_id="bench-own",
            ),
        ]
        drawn("bench-file", "promptfile")
        return [
            *asked,
            gr.CheckboxGroup(
                known,
                value=first,
                label="Methods, besides plain decoding",
                info=told_of(lacking) or None,
                elem_id="bench-methods",
            ),
            gr.Textbox(
                label="Options of methods, a line each",
                placeholder="draft_model: depth=4, top_k=2",
                lines=2,
                max_lines=8,
                elem_id="bench-options",
            ),
            gr.Number(1, label="Repeats", precision=0, elem_id="bench-repeats"),
            gr.Number(FIRST_NUM_TOKENS, label="Max new tokens", precision=0, elem_id="bench-tokens"),
            gr.Number(0, label="Temperature", elem_id="bench-temperature"),
        ]


def suites_for(model: object) -> dict[str, Any]:
    """The suites to choose from for a model, and those that are chosen at first."""
    kind = models.kind_of(str(model))
    return {"choices": suites.names(kind), "value": list(FIRST_SUITES[kind])}


def told_progress(progress: Progress) -> dict[str, Any]:
    """Progress in words and as a share."""
    share = progress.num_done / progress.num_total if progress.num_total else 0.0
    count = f"{progress.num_done:,} of {progress.num_total:,} runs" if progress.num_total else ""
    left = "" if progress.seconds_left is None else f"about {speeds.duration(progress.seconds_left)} left"
    words = {
        "idle": "",
        "waiting": progress.note or "Waiting for the device.",
        "preparing": progress.note,
        "running": "Measuring",
        "stopped": f"Stopped. {progress.note}",
        "finished": "Finished",
        "failed": progress.note,
    }
    different = f"{progress.num_different} with another text than plain decoding's" if progress.num_different else ""
    parts = [part for part in (count, left, different) if part]
    return {"phase": progress.phase, "text": words[progress.phase], "more": ", ".join(parts), "share": share}
