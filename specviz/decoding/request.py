"""What a visitor asks for, checked. Every value may come from anybody, not only from our page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast, get_args

from engine import options
from engine.config import GenerationConfig
from engine.conversation import Conversation, messages_of
from engine.errors import BadInput, UnknownName
from engine.options import OptionSpec
from specviz.decoding import offers
from specviz.decoding.device import AS_STARTED, PLAIN, Device, Loading, Method, Request, Sharing
from specviz.policy import Policy
from specviz.text import without_surrogates

MAX_PROMPT_CHARS = 20_000
"""Of a prompt together with what was said before it."""
MAX_SETTINGS_CHARS = 150_000
MAX_NAME_CHARS = 300
MAX_MESSAGES = 65
MAX_STOPS = 16
FEWEST_LANES, MOST_LANES = 2, 8
OWN_REFUSED = "This instance runs its own models as they were started: no other draft model, dtype or device."


def parse(
    device: Device, prompt: object, model: object, settings: object, has_baseline: object, sharing: object = ""
) -> Request:
    """The request in raw values from a page. Raises BadInput with a sentence to show."""
    given = _settings(settings)
    method = known_method(device, given.get("method"))
    chosen = _mapping(_mapping(given.get("options"), "options").get(method.name), f"options of {method.name}")
    asked = replace(_asked(device, prompt, model, given), sharing=sharing_of(sharing))
    return replace(
        asked, method=method.name, options=method_options(device, method, chosen), has_baseline=has_baseline is True
    )


def parse_race(
    device: Device, prompt: object, model: object, settings: object, sharing: object = ""
) -> tuple[Request, ...]:
    """The requests of a race's lanes, alike but for method and options; plain decoding is always one of them.

    Raises BadInput with a sentence to show.
    """
    given = _settings(settings)
    contenders = [_contender(device, lane) for lane in _lanes(given.get("lanes"))]
    if not any(method == PLAIN for method, _ in contenders):
        contenders.insert(0, (PLAIN, {}))
    _check_field(device, contenders)
    asked = replace(_asked(device, prompt, model, given), sharing=sharing_of(sharing))
    return tuple(replace(asked, method=method, options=chosen) for method, chosen in contenders)


def parse_reading(device: Device, prompt: object, model: object, settings: object) -> Request:
    """A request to read a prompt, whatever method comes after. Raises BadInput with a sentence to show."""
    return _asked(device, prompt, model, _settings(settings))


def parse_loading(device: Device, model: object, loading: object) -> Request:
    """A request to load a visitor's own model. Raises BadInput with a sentence to show."""
    return Request(
        "", known_model(device, model), PLAIN, {}, GenerationConfig(1), loading=_loading(device, model, loading)
    )


def sharing_of(given: object) -> Sharing:
    """Who may see a run. Raises UnknownName."""
    known = get_args(Sharing)
    if given not in known:
        raise UnknownName("way to keep a run", str(given)[:40], known[1:])
    return cast(Sharing, given)


def kept(given: object) -> Sharing:
    """The same of a run whose answer is read from the store. Raises BadInput, or UnknownName."""
    if given == "unkept":
        raise BadInput(
            "This is answered from what is kept; sharing is listed, private, or empty for this server's own."
        )
    return sharing_of(given)


def check_offered(device: Device, policy: Policy, asked: Request) -> None:
    """Whether this instance runs it, whoever asks and however. Raises BadInput, or UnknownName."""
    policy.check_length(asked.config.max_new_tokens)
    known_model(device, asked.model)
    known_method(device, asked.method)
    if asked.loading != AS_STARTED and not device.takes_own:
        raise BadInput(OWN_REFUSED)


def around(system: str, messages: object, template: str, thinking: str) -> dict[str, Any]:
    """Settings of a conversation as a page gives them, from what a program says."""
    said = [{"role": "system", "content": system}] if system else []
    before = messages if isinstance(messages, list) else [] if messages is None else [messages]
    return {"template": template, "thinking": thinking, "messages": [*said, *before]}


def sampling(max_new_tokens: int, temperature: float, seed: int, rule: str, timeout_s: float) -> dict[str, Any]:
    """The same of sampling, and of when a run ends."""
    limits = {"max_new_tokens": max_new_tokens, "timeout_s": timeout_s}
    return {**limits, "temperature": temperature, "seed": seed, "rule": rule}


def _asked(device: Device, prompt: object, model: object, given: Mapping[str, Any]) -> Request:
    """All but the method and its options."""
    asked, around = checked_prompt(prompt), conversation_of(_mapping(given.get("conversation"), "conversation"))
    _check_length(len(asked) + sum(len(content) for _, content in around.messages))
    return Request(
        prompt=asked,
        model=known_model(device, model),
        method=PLAIN,
        options={},
        config=_config(_mapping(given.get("sampling"), "sampling"), given.get("stop"), device.most_tokens),
        conversation=around,
        loading=_loading(device, model, given.get("loading")),
    )


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


def is_short(prompt: object, settings: object) -> bool:
    """Whether these may be kept in memory for a page that is open."""
    texts = (prompt, MAX_PROMPT_CHARS), (settings, MAX_SETTINGS_CHARS)
    return all(isinstance(text, str) and len(text) <= most for text, most in texts)


def checked_prompt(given: object) -> str:
    """A prompt in the page's limits. Raises BadInput."""
    if not isinstance(given, str) or not given.strip():
        raise BadInput("The prompt is empty; type a few words or pick an example.")
    _check_length(len(given))
    return without_surrogates(given)


def _check_length(num_chars: int) -> None:
    if num_chars > MAX_PROMPT_CHARS:
        raise BadInput(f"The prompt has {num_chars:,} characters; this page takes at most {MAX_PROMPT_CHARS:,}.")


def known_model(device: Device, given: object) -> str:
    """The name of a model on offer, or at home of any. Raises BadInput, or UnknownName."""
    known = device.models()
    if isinstance(given, str) and given in known:
        return given
    if not device.takes_own or not isinstance(given, str) or not given.strip():
        raise UnknownName("model", str(given)[:80], known)
    if len(given) > MAX_NAME_CHARS:
        raise BadInput(f"The model's name has {len(given):,} characters; this page takes at most {MAX_NAME_CHARS}.")
    return without_surrogates(given.strip())


def _loading(device: Device, model: object, given: object) -> Loading:
    """How a model is loaded; a way that names another model is not meant."""
    values = dict(_mapping(given, "way of loading"))
    if values.pop("model", model) != model:
        return AS_STARTED
    found = options.parse(Loading, {name: _short(name, value) for name, value in values.items()}, "loading")
    if found != AS_STARTED and not device.takes_own:
        raise BadInput(OWN_REFUSED)
    return found


def conversation_of(given: Mapping[str, Any]) -> Conversation:
    """What a prompt stands in, in raw values from a page. Raises BadInput, or UnknownName."""
    values = {name: value for name, value in given.items() if name != "messages"}
    chosen = _parsed(values, offers.conversation_specs(), "setting of the conversation")
    messages = messages_of(given.get("messages") or ())
    if len(messages) > MAX_MESSAGES:
        raise BadInput(f"{len(messages)} messages stand before the prompt; this page takes at most {MAX_MESSAGES}.")
    return Conversation(**chosen, messages=tuple((role, without_surrogates(content)) for role, content in messages))


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
    second = next((given.get(spec.name) for spec in method.options if spec.kind == "method"), None)
    return _parsed(given, offers.method_specs(device, method, second), f"option of {method.name}")


def sampling_value(name: str, given: object) -> Any:
    """A setting of sampling or of when a run ends in its type. Raises BadInput, or UnknownName where there is none."""
    return _parsed({name: given}, (*offers.sampling_specs(), *offers.stopping_specs()), "sampling setting")[name]


def _config(given: Mapping[str, Any], stops: object, most_tokens: int) -> GenerationConfig:
    first = {spec.name: spec.default for spec in offers.sampling_specs(most_tokens)}
    values = {name: sampling_value(name, value) for name, value in given.items()}
    return GenerationConfig(**{**first, **values}, stop_strings=stops_of(stops))


def stops_of(given: object) -> tuple[str, ...]:
    """Texts that end an answer, in raw values. Raises BadInput."""
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise BadInput("The stop texts cannot be read; wanted a list of texts.")
    if len(given) > MAX_STOPS:
        raise BadInput(f"There are {len(given)} stop texts; this page takes at most {MAX_STOPS}.")
    return tuple(map(without_surrogates, given))


def _parsed(given: Mapping[str, Any], specs: Sequence[OptionSpec], owner: str) -> dict[str, Any]:
    """Raw values by what they may be. Raises BadInput, or UnknownName."""
    known = {spec.name: spec for spec in specs}
    for name in given:
        if name not in known:
            raise UnknownName(owner, name[:80], known)
    return {name: known[name].parse(_short(name, value)) for name, value in given.items()}


def _short(name: str, value: object) -> object:
    """Refuses what is no single value, and texts that would blow up a message."""
    if not isinstance(value, bool | int | float | str) or len(str(value)) > 200:
        raise BadInput(f"Option {name} has no single short value.")
    return value
