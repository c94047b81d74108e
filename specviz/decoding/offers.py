"""What a page offers for what a visitor may set: an option's choices, and what may be typed.

Where visitors may not bring their own models and files, nothing that names one is free text.
"""

from __future__ import annotations

from dataclasses import replace

from engine import options
from engine.config import GenerationConfig
from engine.conversation import Conversation
from engine.options import OptionSpec
from specviz.decoding.device import PLAIN, Device, Loading, Method
from specviz.policy import MAX_NEW_TOKENS

SAMPLING = ("max_new_tokens", "temperature", "top_k", "top_p", "repetition_penalty", "seed")
STOPPING = ("timeout_s", "rule", "after_fault")


def sampling_specs(most_tokens: int = MAX_NEW_TOKENS) -> tuple[OptionSpec, ...]:
    """The sampling settings that the page offers, with the page's own limits."""
    return tuple(_limited(spec, most_tokens) for spec in _of(GenerationConfig, SAMPLING))


def stopping_specs() -> tuple[OptionSpec, ...]:
    """When a run ends, texts that end it aside, by which rule drafts are verified, and what a drafter's fault does."""
    return _of(GenerationConfig, STOPPING)


def conversation_specs() -> tuple[OptionSpec, ...]:
    """How a prompt is read, its messages aside."""
    return options.specs(Conversation)


def loading_specs(device: Device) -> tuple[OptionSpec, ...]:
    """How a visitor's own model is loaded."""
    return tuple(page_spec(device, spec) for spec in options.specs(Loading))


def page_spec(device: Device, spec: OptionSpec) -> OptionSpec:
    """An option as the page offers it: with choices where it names a method, or what this instance alone may name."""
    if spec.kind == "method":
        return replace(spec, choices=(*spec.words, *(m.name for m in device.methods() if m.name != PLAIN)))
    if spec.type is not str or spec.choices or spec.kind == "text" or device.takes_own:
        return spec
    return replace(spec, choices=tuple(dict.fromkeys((str(spec.default), *spec.words, *known(device, spec)))))


def known(device: Device, spec: OptionSpec) -> tuple[str, ...]:
    """Models or folders that this instance knows, for an option that names one."""
    return {"model": device.draft_models, "weights": device.weights_folders}.get(spec.kind, tuple)()


def own_specs(device: Device, method: Method) -> tuple[OptionSpec, ...]:
    """A method's options, but for those that would carry one visitor's text into another's session."""
    return tuple(spec for spec in method.options if device.takes_own or not spec.spans_sessions)


def method_specs(device: Device, method: Method, given: object) -> tuple[OptionSpec, ...]:
    """A method's options, and those of the method that is `given` as its fallback: `fallback.depth`."""
    own = tuple(page_spec(device, spec) for spec in own_specs(device, method))
    fallback = next((spec.name for spec in own if spec.kind == "method"), "")
    second = next((other for other in device.methods() if fallback and other.name == given), None)
    more = (page_spec(device, spec) for spec in (own_specs(device, second) if second else ()))
    return (*own, *(replace(spec, name=f"{fallback}.{spec.name}") for spec in more))


def _of(owner: type, names: tuple[str, ...]) -> tuple[OptionSpec, ...]:
    found = {spec.name: spec for spec in options.specs(owner)}
    return tuple(found[name] for name in names)


def _limited(spec: OptionSpec, most_tokens: int) -> OptionSpec:
    if spec.name != "max_new_tokens":
        return spec
    return replace(spec, high=most_tokens, default=min(int(spec.default), most_tokens))
