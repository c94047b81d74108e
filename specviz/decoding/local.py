"""The local machine as the device: the engine's models and methods. Imports torch; keeps one target at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from engine import drafters, models
from engine.audit import Audit, audit
from engine.errors import BadInput, UnknownName
from engine.events import Event
from engine.facts import TargetFacts
from engine.loop import encoded, generate
from engine.models import LoadedModel
from engine.models.needs import Needs, needs_of
from engine.options import specs
from engine.target import Target
from engine.text import TokenTexts
from engine.warming import is_warm, warm_up_method
from specviz.decoding.device import AS_STARTED, Loading, Method, Request
from specviz.decoding.places import Places
from specviz.policy import HOME, Policy


class LocalDevice:
    """The models of this machine. Keeps one target; another one takes its place when asked for."""

    def __init__(
        self,
        default_model: str = models.STORY,
        *,
        takes_own: bool = False,
        loading: Loading = AS_STARTED,
        weights: Sequence[str] = (),
        policy: Policy = HOME,
        max_context: int = 0,
    ) -> None:
        """`loading`: how the default model is loaded. `weights`: folders that visitors may name.

        `takes_own`: whether they may name any other model, folder or file too; `policy`: which models, and how much.
        `max_context`: most tokens of any model's context; 0 as many as it can attend to.
        Raises UnknownName where the policy offers a model that there is not.
        """
        self._places = Places((default_model, loading.draft, *weights) if policy.is_public else ())
        self._default_model, self._started, self._weights = self._places.name(default_model), loading, tuple(weights)
        self._takes_own, self._policy, self._max_context = takes_own, policy, max_context
        for name in policy.offered() or ():
            if name not in models.presets():
                raise UnknownName("model to offer", name, models.presets())
        self._target: tuple[str, Target] | None = None
        self._loading = loading

    @property
    def takes_own(self) -> bool:
        """As it was made."""
        return self._takes_own

    @property
    def most_tokens(self) -> int:
        """By the policy."""
        return self._policy.max_tokens

    def methods(self) -> tuple[Method, ...]:
        """All registered methods."""
        return tuple(_method(drafters.get(name)) for name in drafters.names())

    def models(self) -> Mapping[str, str]:
        """The default model, then the presets that are on offer."""
        titles = {name: preset.title for name, preset in models.presets().items()}
        offered = self._policy.offered()
        others = titles if offered is None else {name: titles[name] for name in offered}
        return {self._default_model: titles.get(self._default_model, self._default_model), **others}

    def draft_models(self) -> tuple[str, ...]:
        """Those of the presets on offer, and the default model's where it was named."""
        named, presets = {self._places.name(self._started.draft)} - {"auto"}, models.presets()
        offered = (presets[name].draft for name in self.models() if name in presets)
        return tuple(sorted(named | {draft for draft in offered if draft}))

    def weights_folders(self) -> tuple[str, ...]:
        """Those that the program was started with."""
        return tuple(map(self._places.name, self._weights))

    def needs(self, model: str, loading: Loading) -> Needs:
        """Read from its files' headers."""
        how = self._how(model, loading)
        return needs_of(self._places.place(model), how.device, how.dtype)

    def has_thinking_switch(self, model: str) -> bool | None:
        """What the loaded tokenizer's template holds."""
        facts = self._facts(model)
        return None if facts is None else models.thinking_switch(facts.tokenizer) is not None

    def read(self, request: Request) -> list[int]:
        """By the loaded model's tokenizer."""
        facts = self._facts(request.model)
        if facts is None:
            raise BadInput(
                f"{request.model} is not loaded yet, and its tokenizer reads the prompt; run or load it first."
            )
        return encoded(facts, request.prompt, request.conversation)

    def texts(self, model: str, token_ids: Sequence[int]) -> list[str] | None:
        """As the loaded tokenizer writes them."""
        facts = self._facts(model)
        if facts is None:
            return None
        known = TokenTexts(facts.tokenizer)
        return [known[token_id] for token_id in token_ids]

    def cannot_run(self, model: str, method: str) -> str | None:
        """What the method says of the target; nobody knows before it is loaded."""
        target = self._loaded(model)
        return None if target is None else drafters.get(method).unavailable(target)

    def caveat(self, request: Request) -> str:
        """What the target says of its passes, and the method of its weights."""
        target = self.load(request.model, request.loading)
        drafter = drafters.create(request.method, self._places.meant(request.options), target)
        return " ".join(filter(None, (target.caveat, drafter.caveat)))

    def is_ready(self, request: Request) -> bool:
        """Whether target and drafter have run before, with these options."""
        target = self._loaded(request.model)
        if target is None or self._loading != self._how(request.model, request.loading):
            return False
        return is_warm(target, request.method, self._places.meant(request.options), request.config)

    def prepare(self, request: Request) -> None:
        """Load the target, and run a few tokens whose times are dropped."""
        self._warm_up(self.load(request.model, request.loading), request)

    def generate(
        self,
        request: Request,
        session_id: str,
        should_stop: Callable[[], bool],
        prompt_ids: Sequence[int] | None = None,
    ) -> Iterator[Event]:
        """The engine's loop on the loaded target."""
        return self._events(self.load(request.model, request.loading), request, session_id, should_stop, prompt_ids)

    def _events(
        self,
        target: Target,
        request: Request,
        session_id: str,
        should_stop: Callable[[], bool],
        prompt_ids: Sequence[int] | None,
    ) -> Iterator[Event]:
        drafter = drafters.create(request.method, self._places.meant(request.options), target)
        events = generate(
            target,
            drafter,
            request.prompt,
            request.config,
            conversation=request.conversation,
            prompt_ids=prompt_ids,
            session_id=session_id,
            should_stop=should_stop,
        )
        return map(self._places.told, events)

    def _warm_up(self, target: Target, request: Request) -> None:
        warm_up_method(target, request.method, self._places.meant(request.options), request.config)

    def audit(self, request: Request, plain: Sequence[Event], events: Sequence[Event]) -> Audit:
        """The engine's audit on the loaded target."""
        return audit(self.load(request.model, request.loading), plain, events)

    def load(self, model: str, loading: Loading = AS_STARTED) -> Target:
        """The target of this name, in place of the last one. Raises BadInput, UnknownName or LoadingStopped."""
        how, target = self._how(model, loading), self._loaded(model)
        if target is None or self._loading != how:
            self._target = target = None  # the memory of one is needed for the other
            models.forget()
            target = Target(self._weights_of(model, how))
            self._target, self._loading = (model, target), how
        return target

    def _weights_of(self, model: str, how: Loading) -> LoadedModel:
        """A model loaded so, with its draft model's name. Raises BadInput, UnknownName or LoadingStopped."""
        loaded = models.load(self._places.place(model), how.device, how.dtype).held_to(self._max_context)
        if loaded.name != model and model == self._default_model:
            loaded = replace(loaded, name=model)
        return loaded if how.draft == "auto" else replace(loaded, draft=how.draft)

    def hold(self, model: str, loading: Loading = AS_STARTED) -> None:
        """Have a model here before anybody asks for it. Raises as `load`."""
        self.load(model, loading)

    def _facts(self, model: str) -> TargetFacts | None:
        """What there is to know of the model that is held, where it is this one."""
        target = self._loaded(model)
        return None if target is None else target.facts

    def _loaded(self, model: str) -> Target | None:
        """The target where it is the one that is held."""
        held = self._target
        return held[1] if held is not None and held[0] == model else None

    def _how(self, model: str, loading: Loading) -> Loading:
        """What is left open is as the program was started; a draft model belongs to one target."""
        started = self._started if model == self._default_model else replace(self._started, draft="auto")
        return loading.over(started)


def _method(drafter: type[drafters.Drafter]) -> Method:
    return Method(
        name=drafter.name,
        title=drafter.title,
        summary=drafter.summary,
        source=drafter.source,
        guarantee=drafter.guarantee,
        options=specs(drafter.Options),
    )
