"""The local machine as the device: the engine's models and methods. Imports torch; keeps one target at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from engine import drafters, models
from engine.audit import Audit, audit
from engine.events import Event
from engine.loop import generate
from engine.options import specs
from engine.target import Target
from engine.warming import is_warm, warm_up_method
from specviz.decoding.device import Method, Request


class LocalDevice:
    """The models of this machine. Keeps one target; another one takes its place when asked for."""

    def __init__(self, default_model: str = models.STORY) -> None:
        self._default_model = default_model
        self._target: tuple[str, Target] | None = None

    def methods(self) -> tuple[Method, ...]:
        """All registered methods."""
        return tuple(_method(drafters.get(name)) for name in drafters.names())

    def models(self) -> Mapping[str, str]:
        """The default model, then the presets."""
        titles = {name: preset.title for name, preset in models.presets().items()}
        return {self._default_model: titles.get(self._default_model, self._default_model), **titles}

    def draft_models(self) -> tuple[str, ...]:
        """The presets' own; no visitor may name a folder or download a model."""
        return tuple(sorted({preset.draft for preset in models.presets().values() if preset.draft}))

    def cannot_run(self, model: str, method: str) -> str | None:
        """What the method says of the target; nobody knows before it is loaded."""
        if self._target is None or self._target[0] != model:
            return None
        return drafters.get(method).unavailable(self._target[1])

    def caveat(self, request: Request) -> str:
        """What the target says of its passes, and the method of its weights."""
        target = self.load(request.model)
        drafter = drafters.create(request.method, request.options, target)
        return " ".join(filter(None, (target.caveat, drafter.caveat)))

    def is_ready(self, request: Request) -> bool:
        """Whether target and drafter have run before, with these options."""
        if self._target is None or self._target[0] != request.model:
            return False
        return is_warm(self._target[1], request.method, request.options, request.config)

    def prepare(self, request: Request) -> None:
        """Load the target, and run a few tokens whose times are dropped."""
        warm_up_method(self.load(request.model), request.method, request.options, request.config)

    def generate(
        self,
        request: Request,
        session_id: str,
        should_stop: Callable[[], bool],
        prompt_ids: Sequence[int] | None = None,
    ) -> Iterator[Event]:
        """The engine's loop on the loaded target."""
        target = self.load(request.model)
        drafter = drafters.create(request.method, request.options, target)
        return generate(
            target,
            drafter,
            request.prompt,
            request.config,
            prompt_ids=prompt_ids,
            session_id=session_id,
            should_stop=should_stop,
        )

    def audit(self, model: str, plain: Sequence[Event], events: Sequence[Event]) -> Audit:
        """The engine's audit on the loaded target."""
        return audit(self.load(model), plain, events)

    def load(self, model: str) -> Target:
        """The target of this name, in place of the last one. Raises BadInput or UnknownName."""
        if self._target is None or self._target[0] != model:
            self._target = None  # the memory of one is needed for the other
            models.forget()
            self._target = (model, Target(models.load(model)))
        return self._target[1]


def _method(drafter: type[drafters.Drafter]) -> Method:
    return Method(
        name=drafter.name,
        title=drafter.title,
        summary=drafter.summary,
        source=drafter.source,
        guarantee=drafter.guarantee,
        options=specs(drafter.Options),
    )
