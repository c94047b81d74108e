"""The device with its models, as the dashboard sees it: what can run, and running it. One session at a time.

A contract only: `specviz.decoding.local` is this machine, and tests bring their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from engine.config import GenerationConfig
from engine.events import Event
from engine.options import OptionSpec

if TYPE_CHECKING:
    from engine.target import Target

PLAIN = "plain"
PREFERRED_METHODS = ("mlp_speculator", "medusa", "token_recycling", "draft_model", "prompt_lookup")
"""What a first run shows: a tree, by a trained drafter where the model has one, else by what needs no weights."""


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


class Device(Protocol):
    """Where sessions run."""

    def methods(self) -> tuple[Method, ...]:
        """All methods, plain first."""

    def models(self) -> Mapping[str, str]:
        """Names and titles of the models that a visitor may choose; the first is the default."""

    def draft_models(self) -> tuple[str, ...]:
        """Draft models that a visitor may name in a method's options."""

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

    def audit(self, model: str, plain: Sequence[Event], events: Sequence[Event]) -> Verdict:
        """Whether the second run wrote what the first, plain one did."""

    def load(self, model: str) -> Target:
        """The loaded target, for measurements. Raises EngineError."""


def problems(device: Device) -> dict[str, str]:
    """Why methods cannot run on the first model, a sentence for each of them."""
    model, title = next(iter(device.models().items()))
    reasons = {method.name: device.cannot_run(model, method.name) for method in device.methods()}
    return {name: f"Cannot run on {title}: {reason}" for name, reason in reasons.items() if reason is not None}


def runnable(device: Device) -> list[str]:
    """The methods that can run on the first model, plain first: what a page may choose before its visitor does."""
    lacking = problems(device)
    return [method.name for method in device.methods() if method.name not in lacking]


def first_method(device: Device) -> str:
    """The one that is chosen first where one is asked for."""
    names = runnable(device)
    return next((name for name in PREFERRED_METHODS if name in names), names[-1])
