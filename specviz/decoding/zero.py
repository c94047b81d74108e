"""A Space's shared GPU (ZeroGPU) as the device: lent for the seconds of a run, to a process that is forked for it.

Weights are loaded here, before anything is lent; what runs on them is made in the lent process, afresh each time, and
is gone with it. Between the two there is nothing but plain values: requests go in, lines of JSON come back. So a run is
one lending, and its verdict another. A stop is seen here, between two events, and ends the lending. Benchmarks are off:
times on a GPU that others share would mean nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import torch

from engine import drafters, models
from engine.audit import Audit, audit
from engine.errors import BadInput, EngineError, RunFailed, first_line
from engine.events import Event, SessionFinished, from_json, to_json
from engine.facts import TargetFacts
from engine.metrics import Tally
from engine.models.watch import report
from engine.runtime.prepared import why_eager
from engine.target import Target
from specviz.decoding.device import AS_STARTED, Loading, Request
from specviz.decoding.local import LocalDevice

START_S, TOKEN_S, MOST_S, AUDIT_S = 20, 0.06, 120, 50
"""Seconds that a run is said to need: to begin, for a token, and at most; and a verdict."""
CAVEAT = (
    "This GPU is lent for a run and shared with others: times vary from run to run. Near-tie possible: scores depend "
    "in their last places on how many rows share a pass."
)
_REFUSED, _TOLD = "refused", "told"
"""Keys of lines that are no events: why there is no run, and what its drafter says beforehand."""
_MARKUP = re.compile(r"<[^>]*>")


def run_seconds(request: Request, *_: object) -> int:
    """What a run is estimated to take; a shorter lending is granted sooner."""
    return min(MOST_S, round(START_S + TOKEN_S * request.config.max_new_tokens))


class ZeroDevice(LocalDevice):
    """Models of a Space, on a GPU that is lent."""

    def __init__(self, spaces: Any, default_model: str = models.STORY, **how: Any) -> None:
        """`spaces`: the package, imported before torch. `how`: as of a `LocalDevice`."""
        super().__init__(default_model, **how)
        self._held: tuple[str, models.LoadedModel] | None = None

        def decode(request: Request, session_id: str, prompt_ids: tuple[int, ...] | None) -> Iterator[str]:
            yield from self._decoded(request, session_id, prompt_ids)

        def judge(request: Request, plain: list[str], events: list[str]) -> str:
            return self._judged(request, plain, events)

        self._decode: Callable[..., Iterator[str]] = spaces.GPU(duration=run_seconds)(decode)
        self._judge: Callable[..., str] = spaces.GPU(duration=AUDIT_S)(judge)

    def cannot_run(self, model: str, method: str) -> str | None:
        """What the method says of the weights."""
        held = self._held
        if held is None or held[0] != model:
            return None
        about: Any = SimpleNamespace(facts=held[1], loaded=held[1])
        return drafters.get(method).unavailable(about)

    def caveat(self, request: Request) -> str:
        """The same for all runs, and what a family of models adds."""
        reason = "" if self._held is None else why_eager(self._held[1].model)
        return f"{CAVEAT} Passes are launched kernel by kernel, because {reason}." if reason else CAVEAT

    def is_ready(self, request: Request) -> bool:
        """Whether the weights are here."""
        how = self._how(request.model, request.loading)
        return self._facts(request.model) is not None and self._loading == how

    def prepare(self, request: Request) -> None:
        """Load the weights; nothing runs before a GPU is lent."""
        self.hold(request.model, request.loading)

    def hold(self, model: str, loading: Loading = AS_STARTED) -> None:
        """Have a model's weights here, in place of the last one's. Raises BadInput, UnknownName or LoadingStopped."""
        how = self._how(model, loading)
        if self._facts(model) is None or self._loading != how:
            self._held = None
            models.forget()
            self._held, self._loading = (model, self._weights_of(model, how)), how

    def generate(
        self,
        request: Request,
        session_id: str,
        should_stop: Callable[[], bool],
        prompt_ids: Sequence[int] | None = None,
    ) -> Iterator[Event]:
        """A lending's events. Raises BadInput before the first, also where no GPU is lent."""
        self.hold(request.model, request.loading)
        lines = self._decode(request, session_id, None if prompt_ids is None else tuple(prompt_ids))
        line = _lent(lambda: next(lines))
        if told := json.loads(line).get(_TOLD):
            report(f"{self.caveat(request)} {told}")
            line = _lent(lambda: next(lines))
        return _until_stopped(_read(line), lines, should_stop)

    def audit(self, request: Request, plain: Sequence[Event], events: Sequence[Event]) -> Audit:
        """The engine's audit, on a lending of its own."""
        told = [[to_json(event) for event in run] for run in (plain, events)]
        return Audit(**json.loads(_lent(lambda: self._judge(request, *told))))

    def load(self, model: str, loading: Loading = AS_STARTED) -> Target:
        """For measurements there is no lending. Raises BadInput."""
        raise BadInput("Benchmarks are off here: this Space shares its GPU, so times on it would mean nothing.")

    def _facts(self, model: str) -> TargetFacts | None:
        held = self._held
        return held[1] if held is not None and held[0] == model else None

    # In the lent process

    def _decoded(self, request: Request, session_id: str, prompt_ids: tuple[int, ...] | None) -> Iterator[str]:
        """A session as lines; what is wrong with the input is a line too, since errors do not cross as they are."""
        try:
            target = self._target_alone(request)
            self._warm_up(target, request)
            if told := drafters.create(request.method, self._places.meant(request.options), target).caveat:
                yield json.dumps({_TOLD: told})
            for event in self._events(target, request, session_id, lambda: False, prompt_ids):
                yield to_json(event)
        except EngineError as error:
            yield json.dumps({_REFUSED: str(error)})

    def _target_alone(self, request: Request) -> Target:
        """A fork takes no threads along: what is shared among those of the server would wait for them for ever."""
        torch.set_num_threads(1)
        return LocalDevice.load(self, request.model, request.loading)

    def _judged(self, request: Request, plain: list[str], events: list[str]) -> str:
        target = self._target_alone(request)
        return json.dumps(asdict(audit(target, [*map(from_json, plain)], [*map(from_json, events)])))


def _lent(ask: Callable[[], str]) -> str:
    """What a lending gives. Raises BadInput with the Space's own words where there is none."""
    try:
        return ask()
    except EngineError:
        raise
    except Exception as error:  # the package raises Gradio's errors, which carry markup for its own page
        raise BadInput(f"No GPU was lent: {_plain(error)}.") from error


def _plain(error: Exception) -> str:
    """A message without markup, on one line."""
    told = getattr(error, "message", "") or str(error) or type(error).__name__
    return first_line(Exception(" ".join(_MARKUP.sub(" ", str(told)).split())))


def _read(line: str) -> Event:
    """The event of a line. Raises BadInput where the line is a refusal."""
    found = json.loads(line)
    if isinstance(found, dict) and _REFUSED in found:
        raise BadInput(str(found[_REFUSED]))
    return from_json(line)


def _until_stopped(first: Event, lines: Iterator[str], should_stop: Callable[[], bool]) -> Iterator[Event]:
    """The events as they come; a stop, and a lending that is taken back, end them with what there is."""
    tally = Tally()
    tally.add(first)
    yield first
    message = ""
    while not should_stop():
        try:
            event = _read(_lent(lambda: next(lines, "")) or _ended())
        except EngineError as error:
            message = str(error)
            break
        tally.add(event)
        yield event
        if isinstance(event, SessionFinished):
            return
    if isinstance(lines, Generator):
        lines.close()
    spent = tally.draft_ns + tally.target_ns + tally.host_ns
    yield SessionFinished("failed" if message else "stopped", tally.counts, spent, message)


def _ended() -> str:
    raise RunFailed("The GPU was taken back before the run came to its end.")
