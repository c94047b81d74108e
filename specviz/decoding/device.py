"""The device with its models, as the dashboard sees it: what can run, and running it. One session at a time.

A contract only: `specviz.decoding.local` is this machine, and tests bring their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol

from engine.config import GenerationConfig
from engine.conversation import ALONE, Conversation
from engine.events import Event
from engine.models import kind_of
from engine.options import OptionSpec, option

if TYPE_CHECKING:
    from engine.target import Target

PLAIN = "plain"
MOST_REASONS = 2
"""Why methods cannot run that are told at length; the Playground tells each."""
PREFERRED_METHODS = {
    "story": ("mlp_speculator", "medusa", "token_recycling", "draft_model", "prompt_lookup"),
    "general": ("token_recycling", "mlp_speculator", "medusa", "draft_model", "prompt_lookup"),
}
"""What a first run shows, by the kind of model: a tree, by what was quickest of those that draft one
(docs/log.md, 2026-11-30: on SmolLM2 Token Recycling 1.20 times plain decoding, MLP Speculator 1.10)."""


@dataclass(frozen=True)
class Loading:
    """How a model is loaded; what is auto is as the program was started, or as the model has it."""

    draft: str = option(
        "auto",
        "Draft model that goes with it: the preset's own (auto), hub id, folder or GGUF file.",
        kind="model",
        words=("auto",),
    )
    dtype: str = option("auto", "What its weights are held in.", choices=("auto", "bf16", "fp16", "fp32"))
    device: str = option("auto", "Where it runs: auto, cpu, cuda, cuda:1 …", kind="text")

    def over(self, other: Loading) -> Loading:
        """What this one says, and the other where it leaves that open."""
        chosen = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != "auto"}
        return Loading(**{**vars(other), **chosen})


AS_STARTED = Loading()
Sharing = Literal["", "listed", "private", "unkept"]


@dataclass(frozen=True)
class Method:
    """What a menu shows of a method."""

    name: str
    title: str
    summary: str
    source: str
    guarantee: str
    options: tuple[OptionSpec, ...]


@dataclass(frozen=True)
class Request:
    """One run to make. What comes from a page is made by `specviz.decoding.request` only."""

    prompt: str
    model: str
    method: str
    options: Mapping[str, Any]
    config: GenerationConfig
    has_baseline: bool = False
    """Measure plain decoding too."""
    conversation: Conversation = ALONE
    """What the prompt stands in."""
    loading: Loading = AS_STARTED
    sharing: Sharing = ""
    """Who may see it; as this instance has it where nothing is said."""

    @property
    def measures_baseline(self) -> bool:
        """Plain decoding is its own baseline."""
        return self.has_baseline and self.method != PLAIN


class Verdict(Protocol):
    """What an audit found."""

    @property
    def verdict(self) -> str:
        """identical, near-tie, lossy, DIFFERENT or not auditable."""

    @property
    def text(self) -> str:
        """In a few words."""


class Fit(Protocol):
    """What a model would need."""

    @property
    def fits(self) -> bool:
        """Whether there is room, as far as is known."""

    @property
    def text(self) -> str:
        """In a sentence or two."""


class Device(Protocol):
    """Where sessions run."""

    @property
    def takes_own(self) -> bool:
        """Whether visitors may name models, folders and files of their own: never on a public instance."""

    @property
    def most_tokens(self) -> int:
        """The longest answer that visitors may ask for."""

    def methods(self) -> tuple[Method, ...]:
        """All methods, plain first."""

    def models(self) -> Mapping[str, str]:
        """Names and titles of the models that a visitor may choose; the first is the default."""

    def draft_models(self) -> tuple[str, ...]:
        """Draft models that a visitor may name in a method's options."""

    def weights_folders(self) -> tuple[str, ...]:
        """Folders of trained weights that a visitor may name in a method's options."""

    def needs(self, model: str, loading: Loading) -> Fit:
        """What a model would need before it is loaded. Raises EngineError."""

    def has_thinking_switch(self, model: str) -> bool | None:
        """Whether the model's chat template has one; None where nobody knows yet."""

    def read(self, request: Request) -> list[int]:
        """The prompt's tokens as the model gets them. Raises EngineError, also where the model is not loaded."""

    def texts(self, model: str, token_ids: Sequence[int]) -> list[str] | None:
        """Each token's text; None where the model is not loaded."""

    def cannot_run(self, model: str, method: str) -> str | None:
        """Why a method cannot run on a model, in a sentence; None where it can, or where nobody knows yet."""

    def caveat(self, request: Request) -> str:
        """What is to be said before a run that is ready; empty for nothing."""

    def is_ready(self, request: Request) -> bool:
        """Whether `prepare` has nothing left to do."""

    def prepare(self, request: Request) -> None:
        """Load and warm up, for a request of its kind. Raises EngineError."""

    def generate(
        self,
        request: Request,
        session_id: str,
        should_stop: Callable[[], bool],
        prompt_ids: Sequence[int] | None = None,
    ) -> Iterator[Event]:
        """A session's events. Raises EngineError before the first for input that cannot be used.

        `prompt_ids`: what the prompt was encoded to in an earlier session that this one is compared with.
        """

    def audit(self, request: Request, plain: Sequence[Event], events: Sequence[Event]) -> Verdict:
        """Whether the second run, the one asked for, wrote what the first, plain one did."""

    def load(self, model: str, loading: Loading = AS_STARTED) -> Target:
        """The loaded target, for measurements. Raises EngineError."""


def problems(device: Device, model: str = "") -> dict[str, str]:
    """Why methods cannot run on a model, or on the first one: a sentence for each of them."""
    titles = device.models()
    model = model or next(iter(titles))
    title = titles.get(model, model)
    reasons = {method.name: device.cannot_run(model, method.name) for method in device.methods()}
    return {name: f"Cannot run on {title}: {reason}" for name, reason in reasons.items() if reason is not None}


def told_of(lacking: Mapping[str, str]) -> str:
    """Why methods cannot run, from each one's sentence: a wall of them is read by nobody."""
    sentences = list(dict.fromkeys(lacking.values()))
    if len(sentences) <= MOST_REASONS:
        return " ".join(sentences)
    return f"{len(lacking)} of these cannot run on the first model; the Playground says of each why, once it is chosen."


def runnable(device: Device) -> list[str]:
    """The methods that can run on the first model, plain first: what a page may choose before its visitor does."""
    lacking = problems(device)
    return [method.name for method in device.methods() if method.name not in lacking]


def first_method(device: Device) -> str:
    """The one that is chosen first where one is asked for."""
    names = runnable(device)
    preferred = PREFERRED_METHODS[kind_of(next(iter(device.models())))]
    return next((name for name in preferred if name in names), names[-1])
