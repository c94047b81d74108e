"""What a visitor asks for, checked. Every value may come from anybody, not only from our page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine import options
from engine.config import GenerationConfig
from engine.errors import BadInput, UnknownName
from engine.options import OptionSpec
from specviz.decoding.device import PLAIN, Device, Method, Request
from specviz.text import without_surrogates

MAX_PROMPT_CHARS = 20_000
MAX_NEW_TOKENS = 2_000
MAX_SETTINGS_CHARS = 20_000
SAMPLING = ("max_new_tokens", "temperature", "top_k", "top_p", "repetition_penalty", "seed")
FALLBACK = "fallback"
FEWEST_LANES, MOST_LANES = 2, 8


def parse(device: Device, prompt: object, model: object, settings: object, has_baseline: object) -> Request:
    """The request in raw values from a page. Raises BadInput with a sentence to show."""
    given = _settings(settings)
    method = known_method(device, given.get("method"))
    chosen = _mapping(_mapping(given.get("options"), "options").get(method.name), f"options of {method.name}")
    return Request(
        prompt=checked_prompt(prompt),
        model=known_model(device, model),
        method=method.name,
        options=method_options(device, method, chosen),
        config=_config(_mapping(given.get("sampling"), "sampling")),
        has_baseline=has_baseline is True,
    )


def parse_race(device: Device, prompt: object, model: object, settings: object) -> tuple[Request, ...]:
    """The requests of a race's lanes, alike but for method and options; plain decoding is always one of them.

    Raises BadInput with a sentence to show.
    """
    given = _settings(settings)
    contenders = [_contender(device, lane) for lane in _lanes(given.get("lanes"))]
    if not any(method == PLAIN for method, _ in contenders):
        contenders.insert(0, (PLAIN, {}))
    _check_field(device, contenders)
    checked, known = checked_prompt(prompt), known_model(device, model)
    config = _config(_mapping(given.get("sampling"), "sampling"))
    return tuple(Request(checked, known, method, chosen, config) for method, chosen in contenders)


def sampling_specs() -> tuple[OptionSpec, ...]:
    """The sampling settings that the page offers, with the page's own limits."""
    known = {spec.name: spec for spec in options.specs(GenerationConfig)}
    return tuple(_limited(known[name]) for name in SAMPLING)


def page_spec(device: Device, spec: OptionSpec) -> OptionSpec:
    """A method's option as the page offers it: no free text, since that could name any folder or download."""
    if spec.type is not str or spec.choices:
        return spec
    if spec.name == FALLBACK:
        names = (method.name for method in device.methods() if method.name != PLAIN)
        return replace(spec, choices=(str(spec.default), *names))
    return replace(spec, choices=(str(spec.default), *device.draft_models()))


def _limited(spec: OptionSpec) -> OptionSpec:
    return replace(spec, high=MAX_NEW_TOKENS) if spec.name == "max_new_tokens" else spec


def _settings(given: object) -> Mapping[str, Any]:
    if not isinstance(given, str) or len(given) > MAX_SETTINGS_CHARS:
        raise BadInput("The settings are missing or too long; reload the page.")
    try:
        return _mapping(json.loads(given), "settings")
    except (ValueError, RecursionError) as error:
        raise BadInput("The settings cannot be read; reload the page.") from error


def _mapping(given: object, what: str) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise BadInput(f"The {what} cannot be read; reload the page.")
    return given


def checked_prompt(given: object) -> str:
    """A prompt in the page's limits. Raises BadInput."""
    if not isinstance(given, str) or not given.strip():
        raise BadInput("The prompt is empty; type a few words or pick an example.")
    if len(given) > MAX_PROMPT_CHARS:
        raise BadInput(f"The prompt has {len(given):,} characters; this page takes at most {MAX_PROMPT_CHARS:,}.")
    return without_surrogates(given)


def known_model(device: Device, given: object) -> str:
    """The name of a model on offer. Raises UnknownName."""
    known = device.models()
    if not isinstance(given, str) or given not in known:
        raise UnknownName("model", str(given)[:80], known)
    return given


def _lanes(given: object) -> list[Mapping[str, Any]]:
    if not isinstance(given, list):
        raise BadInput("The lanes cannot be read; reload the page.")
    if len(given) > MOST_LANES:
        raise BadInput(f"{len(given)} lanes are too many; a race has {FEWEST_LANES} to {MOST_LANES}, plain among them.")
    return [_mapping(lane, "lane") for lane in given]


def _contender(device: Device, lane: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    method = known_method(device, lane.get("method"))
    return method.name, method_options(device, method, _mapping(lane.get("options"), f"options of {method.name}"))


def _check_field(device: Device, contenders: list[tuple[str, Mapping[str, Any]]]) -> None:
    """Refuses too few, too many, and the same lane twice."""
    if not FEWEST_LANES <= len(contenders) <= MOST_LANES:
        count = f"{len(contenders)} lanes, plain decoding included"
        raise BadInput(f"This race has {count}; a race has {FEWEST_LANES} to {MOST_LANES}.")
    defaults = {method.name: {spec.name: spec.default for spec in method.options} for method in device.methods()}
    filled = [(method, {**defaults[method], **chosen}) for method, chosen in contenders]
    for place, contender in enumerate(filled):
        if contender in filled[:place]:
            raise BadInput(f"{contender[0]} is there twice with the same options; change one of the two or remove it.")


def known_method(device: Device, given: object) -> Method:
    """The method of this name. Raises UnknownName."""
    known = {method.name: method for method in device.methods()}
    if not isinstance(given, str) or given not in known:
        raise UnknownName("method", str(given)[:80], known)
    return known[given]


def method_options(device: Device, method: Method, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options of a method in raw values from a page. Raises BadInput, or UnknownName for one that it has not."""
    known = {spec.name: page_spec(device, spec) for spec in method.options}
    second = next((other for other in device.methods() if other.name == given.get(FALLBACK)), None)
    known |= {f"{FALLBACK}.{spec.name}": page_spec(device, spec) for spec in (second.options if second else ())}
    for name in given:
        if name not in known:
            raise UnknownName(f"option of {method.name}", name[:80], known)
    return {name: known[name].parse(_short(name, value)) for name, value in given.items()}


def sampling_value(name: str, given: object) -> Any:
    """A sampling setting in its type. Raises BadInput, or UnknownName where there is none of this name."""
    known = {spec.name: spec for spec in sampling_specs()}
    if name not in known:
        raise UnknownName("sampling setting", name[:80], known)
    return known[name].parse(_short(name, given))


def _config(given: Mapping[str, Any]) -> GenerationConfig:
    values: dict[str, Any] = {name: sampling_value(name, value) for name, value in given.items()}
    return GenerationConfig(**values)


def _short(name: str, value: object) -> object:
    """Refuses what is no single value, and texts that would blow up a message."""
    if not isinstance(value, bool | int | float | str) or len(str(value)) > 200:
        raise BadInput(f"Option {name} has no single short value.")
    return value
