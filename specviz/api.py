"""What programs may ask for by name: generate, compare, tokens, list, get and export. Plain values in and out.

The same requests, sessions and files as the page's. Every sentence that a visitor would read comes as an error's
message. A run goes on to its end even where the program that asked for it has gone away.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, ParamSpec, TypeVar, cast

import gradio as gr
from gradio.events import api as gradio_api

from engine.errors import BadInput, EngineError
from engine.run_report import run_report
from specviz import arguments
from specviz.archive import lines, tables
from specviz.decoding import request
from specviz.decoding.device import first_method
from specviz.decoding.session import Sessions
from specviz.decoding.visitors import address_of
from specviz.race.course import course
from specviz.race.fold import RaceState
from specviz.race.fold import fold_all as fold_race
from specviz.showing.fold import ViewState
from specviz.showing.fold import fold_all as fold_run
from specviz.showing.notices import Happening
from specviz.store import RunRow, Store, StoreError, UnknownRun
from specviz.text import printable

MAX_RUNS = 200
KINDS = ("jsonl", "csv")
_P = ParamSpec("_P")
_Result = TypeVar("_Result")


def _endpoint(asked: Callable[_P, _Result]) -> Callable[_P, _Result]:
    """What programs call: sentences of ours become its error, and so does an argument of another kind."""
    checked = arguments.checked(asked)

    @functools.wraps(asked)
    def answer(*given: _P.args, **named: _P.kwargs) -> _Result:
        try:
            return checked(*given, **named)
        except (EngineError, StoreError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    return answer


@dataclass(frozen=True)
class Api:
    """The endpoints. Each raises gr.Error with a sentence where the page would show one."""

    sessions: Sessions
    store: Store

    @_endpoint
    def generate(
        self,
        prompt: str,
        method: str = "",
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        seed: int = 0,
        options: dict[str, Any] | None = None,
        measure_plain: bool = True,
        model: str = "",
        system: str = "",
        messages: list[dict[str, str]] | None = None,
        template: str = "chat",
        thinking: str = "auto",
        stop: list[str] | None = None,
        rule: str = "auto",
        timeout_s: float = 0.0,
        loading: dict[str, str] | None = None,
        sharing: Literal["", "listed", "private"] = "",
        who: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Decode a prompt with a method, beside plain decoding unless told otherwise, and keep the run.

        Args:
            prompt: The text to answer.
            method: A method's name, as `python -m engine methods` lists them; empty for the page's first choice.
            max_new_tokens: How long the answer may be.
            temperature: 0 is greedy.
            seed: Of the session's random numbers.
            options: The method's own options, by name.
            measure_plain: Run plain decoding too, for speedup and verdict.
            model: A model of this server; empty for its first. Where it serves one person, also a hub id, folder or
                GGUF file.
            system: A system prompt.
            messages: What was said before the prompt: objects with role (system, user or assistant) and content.
            template: chat, the model's chat template; or raw, the prompt as it is.
            thinking: on, off or auto, where the chat template has that switch.
            stop: Texts that end the answer.
            rule: The verification rule; auto goes by the temperature.
            timeout_s: Stop after so many seconds; 0 never.
            loading: Where it serves one person: draft, dtype and device of the model.
            sharing: listed, or private: found by its id alone; empty as this server has it.
            who: The request itself, which the server adds.

        """
        around = request.around(system, messages, template, thinking)
        sampling = request.sampling(max_new_tokens, temperature, seed, rule, timeout_s)
        name, kept = method or first_method(self.sessions.device), request.kept(sharing)
        asked = {"sampling": sampling, "conversation": around, "stop": stop, "loading": loading}
        settings = {"method": name, "options": {name: options or {}}, **asked}
        wanted = request.parse(
            self.sessions.device, prompt, self._model(model), json.dumps(settings), measure_plain, kept
        )
        state = fold_run(ViewState(), _all(self.sessions.run(wanted, uuid.uuid4().hex, address=self._address(who))))
        if state.started is None:
            raise BadInput(state.alert or "Nothing was run.")
        return {**self._run(state.started.session_id), "alert": state.alert}

    @_endpoint
    def compare(
        self,
        prompt: str,
        methods: list[str],
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        seed: int = 0,
        model: str = "",
        system: str = "",
        messages: list[dict[str, str]] | None = None,
        template: str = "chat",
        thinking: str = "auto",
        stop: list[str] | None = None,
        rule: str = "auto",
        timeout_s: float = 0.0,
        loading: dict[str, str] | None = None,
        sharing: Literal["", "listed", "private"] = "",
        who: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Race methods on one prompt, plain decoding among them, one after another in an order drawn by lot.

        Args:
            prompt: The text to answer.
            methods: Names of methods, with their own defaults.
            max_new_tokens: How long each answer may be.
            temperature: 0 is greedy.
            seed: Of each session's random numbers.
            model: As in generate.
            system: A system prompt.
            messages: What was said before the prompt: objects with role (system, user or assistant) and content.
            template: chat, the model's chat template; or raw, the prompt as it is.
            thinking: on, off or auto, where the chat template has that switch.
            stop: Texts that end the answer.
            rule: The verification rule; auto goes by the temperature.
            timeout_s: Stop after so many seconds; 0 never.
            loading: As in generate.
            sharing: listed, or private: found by its id alone; empty as this server has it.
            who: The request itself, which the server adds.

        """
        around = request.around(system, messages, template, thinking)
        sampling = request.sampling(max_new_tokens, temperature, seed, rule, timeout_s)
        lanes = [{"method": name, "options": {}} for name in methods]
        settings = {"lanes": lanes, "sampling": sampling, "conversation": around, "stop": stop, "loading": loading}
        given = json.dumps(settings), request.kept(sharing)
        wanted = request.parse_race(self.sessions.device, prompt, self._model(model), *given)
        batches = self.sessions.perform(course(wanted), uuid.uuid4().hex, address=self._address(who))
        return self._race(fold_race(RaceState(), _all(batches)))

    @_endpoint
    def read_prompt(
        self,
        prompt: str,
        model: str = "",
        system: str = "",
        messages: list[dict[str, str]] | None = None,
        template: str = "chat",
        thinking: str = "auto",
    ) -> dict[str, Any]:
        """Give the tokens that the loaded model would read for a prompt: ids and texts.

        Args:
            prompt: The text to answer.
            model: As in generate; the one that ran last.
            system: A system prompt.
            messages: As in generate.
            template: chat or raw.
            thinking: on, off or auto.

        """
        around = request.around(system, messages, template, thinking)
        device = self.sessions.device
        settings = json.dumps({"conversation": around})
        wanted = request.parse_reading(device, prompt, self._model(model), settings)
        ids = device.read(wanted)
        return {"model": wanted.model, "ids": ids, "texts": printable(device.texts(wanted.model, ids))}

    @_endpoint
    def list_runs(
        self, search: str = "", method: str = "", status: str = "", limit: int = 50, before: str = ""
    ) -> list[dict[str, Any]]:
        """Saved runs, newest first.

        Args:
            search: Words of the prompt, of what was said before it, of the answer or the note.
            method: Only this method's.
            status: Only running, finished, stopped, failed or interrupted ones.
            limit: At most so many, up to 200.
            before: The id of the last run of the page above.

        """
        wanted = {"search": search, "method": method, "status": status}
        given = {name: value for name, value in wanted.items() if value}
        if not 1 <= limit <= MAX_RUNS:
            raise BadInput(f"limit is {limit}; wanted a whole number from 1 to {MAX_RUNS}.")
        return self._rows(self.store.list_runs(limit, before=before or None, **cast(Any, given)))

    @_endpoint
    def get_run(self, run_id: str) -> dict[str, Any]:
        """One saved run: settings, counts, ratios, verdict and text, acceptance as servers name it, spread of times.

        Args:
            run_id: As `list` and `generate` give it.

        """
        return self._run(run_id)

    @_endpoint
    def export_runs(self, run_ids: list[str], kind: Literal["jsonl", "csv"] = "jsonl") -> str:
        """Saved runs as the text of a file: every event (jsonl), or a row of figures each (csv).

        Args:
            run_ids: As `list` gives them.
            kind: jsonl or csv.

        """
        if kind not in KINDS or not 1 <= len(run_ids) <= MAX_RUNS:
            raise BadInput(
                f"{len(run_ids):,} runs were given, as {str(kind)[:40]}; wanted 1 to {MAX_RUNS} of them as "
                f"{' or '.join(KINDS)}. Export more in parts."
            )
        if kind == "csv":
            runs = [self.store.get_run(run_id) for run_id in run_ids]
            return tables.to_csv(runs, self.store.baselines(runs))
        return lines.to_text(map(self.store.copy, run_ids))

    def build(self) -> None:
        """Name the endpoints inside the current Blocks."""
        endpoints: dict[str, Callable[..., Any]] = {
            "generate": self.generate,
            "compare": self.compare,
            "tokens": self.read_prompt,
            "list": self.list_runs,
            "get": self.get_run,
            "export": self.export_runs,
        }
        for name, endpoint in endpoints.items():
            gradio_api(endpoint, api_name=name, concurrency_limit=None)

    def _address(self, who: gr.Request | None) -> str:
        return address_of(who, self.sessions.policy.proxies)

    def _model(self, model: str) -> str:
        return model or next(iter(self.sessions.device.models()))

    def _race(self, state: RaceState) -> dict[str, Any]:
        self.store.flush()
        lanes = zip(state.lanes, state.views, strict=True)
        runs = [self._lane(lane.run_id, lane.method, lane_state) for lane, lane_state in lanes]
        return {"group_id": state.group_id, "order": [runs[place]["method"] for place in state.order], "runs": runs}

    def _lane(self, run_id: str, method: str, view: ViewState) -> dict[str, Any]:
        """A lane's run, or why there is none."""
        try:
            return {**self._run(run_id), "alert": view.alert}
        except UnknownRun:
            return {"method": method, "alert": view.alert or "This run is not saved."}

    def _run(self, run_id: str) -> dict[str, Any]:
        self.store.flush()
        (row,) = self._rows([self.store.get_run(run_id)])
        return row | run_report(self.store.events(run_id))

    def _rows(self, runs: Sequence[RunRow]) -> list[dict[str, Any]]:
        baselines = self.store.baselines(runs)
        return [tables.to_row(run, baselines.get(run.baseline_run_id or "")) for run in runs]


def _all(batches: Any) -> Iterator[Happening]:
    """What happens, to its end; the run stops where nobody listens any more."""
    with closing(batches):
        for batch in batches:
            yield from batch
