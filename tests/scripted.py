"""A device and a recorder without models or files: scripted steps, known words, a run that can be held."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.config import GenerationConfig
from engine.errors import BadInput, RunFailed
from engine.events import Candidate, Counts, Emitted, Event, Node, Prefilled, SessionFinished, SessionStarted, Stepped
from engine.options import OptionSpec
from specviz.decoding.device import AS_STARTED, Loading, Method, Request

PATIENCE_S = 600
"""For what comes as soon as the machine has time for it; the longest that a test waits before it fails."""
WORDS = ("Once", " upon", " a", " time", ",", " there", " was", " a", " fox", ".")


@dataclass(frozen=True)
class ScriptedVerdict:
    """A verdict as the engine gives it."""

    verdict: str = "identical"
    num_compared: int = 10

    @property
    def text(self) -> str:
        return f"{self.verdict} ({self.num_compared} tokens)"


@dataclass(frozen=True)
class ScriptedFit:
    """What a model would need."""

    fits: bool = True

    @property
    def text(self) -> str:
        return f"Needs 1.0 GB; {2 if self.fits else 0}.0 GB are free."


@dataclass
class ScriptedDevice:
    """Writes `words` over and over: plain one by one, drafting three a step."""

    words: Sequence[str] = WORDS
    broken_at: int | None = None
    """Raise RunFailed in this step."""
    hold: threading.Event | None = None
    """Wait for it before every step; whoever holds a run lets it go."""
    log: list[str] = field(default_factory=list)
    lacking: tuple[str, ...] = ()
    """Methods that cannot run."""
    takes_own: bool = False
    """Any model named "own…" is here, but for "own-huge"; no other."""
    most_tokens: int = 2_000

    def methods(self) -> tuple[Method, ...]:
        depth = OptionSpec("depth", 3, "How far.", low=1, high=8, unit="tokens")
        model = OptionSpec("model", "auto", "Draft model.", kind="model", words=("auto",))
        return (
            Method("plain", "Plain decoding", "No drafts.", "baseline", "exact", ()),
            Method("scripted", "Scripted drafts", "Known drafts.", "this file", "exact", (depth, model)),
        )

    said_before = ""

    def models(self) -> Mapping[str, str]:
        return {"toy": "A toy", "big": "A big one"}

    def draft_models(self) -> tuple[str, ...]:
        return ("toy-draft",)

    def weights_folders(self) -> tuple[str, ...]:
        return ("/weights",)

    def needs(self, model: str, loading: Loading) -> ScriptedFit:
        if not model.startswith(("own", "toy")):
            raise BadInput(f"The Hub has no model {model}.")
        return ScriptedFit(model != "own-huge")

    def has_thinking_switch(self, model: str) -> bool | None:
        return {"toy": False, "own-thinking": True}.get(model)

    def read(self, request: Request) -> list[int]:
        if request.model == "big":
            raise BadInput("big is not loaded yet.")
        return [1, 2, 3, *range(len(request.conversation.messages))]

    def texts(self, model: str, token_ids: Sequence[int]) -> list[str] | None:
        return [self.words[token_id % len(self.words)] for token_id in token_ids] if model == "toy" else None

    def cannot_run(self, model: str, method: str) -> str | None:
        return f"{method} lacks its weights." if method in self.lacking else None

    def caveat(self, request: Request) -> str:
        return self.said_before

    def is_ready(self, request: Request) -> bool:
        return f"prepare {request.model} {request.method}" in self.log

    def prepare(self, request: Request) -> None:
        self.load_model(request.model)
        self.log.append(f"prepare {request.model} {request.method}")

    def generate(
        self,
        request: Request,
        session_id: str,
        should_stop: Callable[[], bool],
        prompt_ids: Sequence[int] | None = None,
    ) -> Iterator[Event]:
        if request.prompt.startswith("too long"):
            raise BadInput("The prompt has 5000 tokens.")
        self.log.append(f"generate {request.method}")
        return self._events(request, session_id, should_stop)

    def _events(self, request: Request, session_id: str, should_stop: Callable[[], bool]) -> Iterator[Event]:
        method, config = request.method, request.config
        first = started(method, request.prompt, config, session_id, request.options)
        yield replace(first, config={**first.config, **request.conversation.to_dict()})
        yield Prefilled(3, 2_000_000, 2)
        emitted = steps = 0
        reason = "length"
        while emitted < config.max_new_tokens:
            if self.hold is not None:
                self.hold.wait(PATIENCE_S)
            if should_stop():
                reason = "stopped"
                break
            if self.broken_at == steps:
                raise RunFailed("The scripted device broke.")
            step = self._step(steps, emitted, min(1 if method == "plain" else 3, config.max_new_tokens - emitted))
            yield step
            steps, emitted = steps + 1, emitted + len(step.emitted)
        counts = Counts(steps, 3 * steps, emitted - steps, emitted, steps)
        yield SessionFinished(reason, counts, 1_000_000 * steps)  # type: ignore[arg-type]

    def _step(self, step: int, first: int, size: int) -> Stepped:
        texts = [self.words[(first + i) % len(self.words)] for i in range(size)]
        return stepped(step, texts)

    def let_go(self) -> None:
        """A run that is held goes on."""
        assert self.hold is not None
        self.hold.set()

    def load_model(self, model: str) -> None:
        if model not in ("toy", "own", "own-thinking"):
            raise BadInput(f"Model {model} cannot be loaded.")

    def load(self, model: str, loading: Loading = AS_STARTED) -> Any:
        self.load_model(model)
        self.log.append(f"load {model} {loading.draft} {loading.dtype} {loading.device}")

    def audit(self, request: Request, plain: Sequence[Event], events: Sequence[Event]) -> ScriptedVerdict:
        self.log.append("audit")
        return ScriptedVerdict(num_compared=sum(len(e.emitted) for e in events if isinstance(e, Stepped)))


def until(condition: Callable[[], object]) -> None:
    """Wait for a state that lasts once it has come."""
    given_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < given_up, "what was waited for never came"
        time.sleep(0.01)


def started(
    method: str = "scripted",
    prompt: str = "Tell a story.",
    config: GenerationConfig | None = None,
    session_id: str = "s1",
    options: Mapping[str, Any] | None = None,
) -> SessionStarted:
    """A first event."""
    settings = (config or GenerationConfig()).to_dict()
    return SessionStarted(
        session_id=session_id,
        created_at="2026-11-21T03:00:00.000+00:00",
        prompt=prompt,
        prompt_ids=(1, 2, 3),
        method=method,
        method_options=dict(options or {}),
        guarantee="exact",
        model="toy",
        device="cpu",
        dtype="float32",
        config=settings,
        machine={"processor": "none"},
    )


def stepped(step: int, texts: Sequence[str]) -> Stepped:
    """All but the last text accepted from a chain, then a correction beside one rejected and one unreached draft."""
    size = len(texts)
    nodes = [Node(100 + i, text, i - 1, "accepted", 0.9, 0.8) for i, text in enumerate(texts[:-1])]
    if size > 1:
        nodes += [Node(7, " no", size - 2, "rejected", 0.05, 0.6), Node(8, " way", size - 1, "unreached", 0.1, 0.5)]
    top = (Candidate(100, texts[0], 0.9), Candidate(7, " no", 0.05))
    emitted = [Emitted(100 + i, text, "accepted", i, 0.9, top) for i, text in enumerate(texts[:-1])]
    emitted.append(Emitted(200, texts[-1], "correction" if size > 1 else "plain", None, 0.7, top))
    path = tuple(range(size - 1))
    return Stepped(step, 1, tuple(nodes), path, tuple(emitted), 300_000, 500_000, 100_000, 50_000, 50_000, 3 + step)


class ScriptedRecorder:
    """Keeps everything in lists."""

    def __init__(self, problem: str | None = None) -> None:
        self.problem = problem
        self.runs: dict[str, list[Event]] = {}
        self.audits: dict[str, dict[str, Any]] = {}
        self.baselines: dict[str, str] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.members: dict[str, str | None] = {}
        self.tasks: dict[str, str] = {}
        self.visitors: dict[str, str] = {}
        self.sharing: dict[str, str] = {}

    def begin(
        self,
        event: SessionStarted,
        *,
        group_id: str | None = None,
        task: str = "",
        visitor: str = "",
        sharing: str = "listed",
    ) -> ScriptedRun:
        self.sharing[event.session_id] = sharing
        self.runs[event.session_id] = [event]
        self.members[event.session_id] = group_id
        self.tasks[event.session_id] = task
        self.visitors[event.session_id] = visitor
        return ScriptedRun(self.runs[event.session_id])

    def set_audit(self, run_id: str, audit: dict[str, Any]) -> None:
        self.audits[run_id] = audit

    def set_baseline(self, run_id: str, baseline_run_id: str) -> None:
        self.baselines[run_id] = baseline_run_id

    def add_group(self, kind: str, title: str, details: dict[str, Any] | None = None) -> str:
        group_id = f"group-{len(self.groups)}"
        self.groups[group_id] = {"kind": kind, "title": title, **(details or {})}
        return group_id

    def set_group_details(self, group_id: str, details: dict[str, Any]) -> None:
        self.groups[group_id] |= details


class ScriptedRun:
    """One run of the recorder."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def append(self, event: Event) -> None:
        self._events.append(event)
