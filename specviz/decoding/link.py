"""The Playground's settings as an address: `set.model=…`, `set.method=…`, `set.sampling.seed=…`, and back.

Lists, as messages before the prompt and stop texts are, stand there as JSON. How a visitor's own model is loaded is not
told: it names places on a machine.

An address may be old, or anybody's: what is unknown, no longer there or out of range is told in a sentence and left
as it is first; the rest applies. A further control is one more line of `SETTINGS`; what the form of method, options
and sampling holds is named here by the specs that it is made from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import BadInput, UnknownName
from engine.options import OptionSpec
from specviz.decoding import offers, request
from specviz.decoding.device import Device, Method
from specviz.showing.asked import conversation_of
from specviz.store import RunRow

PREFIX = "set."
"""Of a setting's key in an address."""
OPTIONS, SAMPLING, CONVERSATION = "options.", "sampling.", "conversation."
STOP = "stop"
FORM = "settings"
"""The control that holds method, options and sampling, as JSON text."""
MESSAGES = "messages"
MAX_KEY_CHARS = 60


@dataclass(frozen=True)
class Setting:
    """One control and its key in an address."""

    key: str
    read: Callable[[Device, str], Any]
    """An address's text as the control's value. Raises BadInput."""
    of_run: Callable[[RunRow], str | None]
    """What a saved run had, as an address's text; None where it had none."""


def _flag(device: Device, text: str) -> bool:
    return bool(OptionSpec("baseline", True, "").parse(text))


SETTINGS = (
    Setting("prompt", lambda device, text: request.checked_prompt(text), lambda run: run.prompt),
    Setting("model", request.known_model, lambda run: run.model),
    Setting("baseline", _flag, lambda run: str(run.baseline_run_id is not None).lower()),
)
CONTROLS = (*(setting.key for setting in SETTINGS), FORM)
"""The Playground's controls in the order in which its page gives their values to `assets/js/link.js`."""


@dataclass(frozen=True)
class Opened:
    """What an address asks for: values by control, those that it does not name left out; and what it asks in vain."""

    values: Mapping[str, Any]
    notices: tuple[str, ...] = ()


def of_run(run: RunRow) -> dict[str, str]:
    """A saved run's settings as an address's keys and texts."""
    found = {setting.key: setting.of_run(run) for setting in SETTINGS}
    specs = (*offers.sampling_specs(), *offers.stopping_specs())
    sampling = {SAMPLING + spec.name: run.config.get(spec.name) for spec in specs}
    options = {OPTIONS + name: value for name, value in run.method_options.items()}
    around = {CONVERSATION + name: value for name, value in conversation_of(run.config).to_dict().items()}
    stops = {STOP: list(run.config.get("stop_strings") or ()) or None}
    rows: dict[str, Any] = {**found, "method": run.method, **options, **sampling, **around, **stops}
    return {PREFIX + key: _text(value) for key, value in rows.items() if value is not None}


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list) else str(value)


def opened(device: Device, query: Mapping[str, str], first_method: str) -> Opened:
    """The settings of an address. `first_method`: the method where it names none that there is."""
    given = {key.removeprefix(PREFIX): text for key, text in query.items() if key.startswith(PREFIX)}
    reading = _Reading()
    read = {row.key: reading.of(row.read, device, given.pop(row.key)) for row in SETTINGS if row.key in given}
    values = {key: value for key, value in read.items() if value is not None}
    if given:
        values[FORM] = json.dumps(_form(device, given, first_method, reading))
    return Opened(values, tuple(reading.notices))


def _form(device: Device, given: dict[str, str], first_method: str, reading: _Reading) -> dict[str, Any]:
    """What the form holds; options of a method that there is not go with it."""
    named = reading.of(request.known_method, device, given.pop("method", first_method))
    method = named or request.known_method(device, first_method)
    options: dict[str, Any] = {}
    sampling: dict[str, Any] = {}
    around: dict[str, Any] = {}
    stops = reading.of(request.stops_of, reading.of(_listed, STOP, given.pop(STOP, "[]")))
    for key in sorted(given):  # a fallback before its options
        name = key.removeprefix(OPTIONS).removeprefix(SAMPLING).removeprefix(CONVERSATION)
        if key.startswith(SAMPLING):
            sampling[name] = reading.of(request.sampling_value, name, given[key])
        elif key.startswith(CONVERSATION):
            around[name] = reading.of(_around, name, given[key])
        elif not key.startswith(OPTIONS):
            reading.of(_refuse, key)
        elif named:
            options[name] = reading.of(_option, device, method, options, name, given[key])
    found = {"method": method.name, "options": {method.name: _known(options)}, "sampling": _known(sampling)}
    more = {"conversation": reading.of(_together, _known(around)), "stop": list(stops or ())}
    return found | {name: value for name, value in more.items() if value}


def _around(name: str, text: str) -> Any:
    """A setting of the conversation by itself. Raises BadInput, or UnknownName."""
    value = _listed(CONVERSATION + name, text) if name == MESSAGES else text
    request.conversation_of({name: value})
    return value


def _together(around: dict[str, Any]) -> dict[str, Any]:
    """The same, held against each other. Raises BadInput."""
    request.conversation_of(around)
    return around


def _listed(key: str, text: str) -> Any:
    """Raises BadInput."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadInput(f"The link's {key} cannot be read; wanted a list in JSON.") from error


def _option(device: Device, method: Method, options: Mapping[str, Any], name: str, text: str) -> Any:
    fallback = next((spec.name for spec in method.options if spec.kind == "method"), "")
    beside = {key: value for key, value in options.items() if key == fallback}
    return request.method_options(device, method, {**beside, name: text})[name]


def _refuse(key: str) -> None:
    raise UnknownName(
        "setting",
        key[:MAX_KEY_CHARS],
        [*CONTROLS[:-1], "method", STOP, *(f"{part}…" for part in (OPTIONS, SAMPLING, CONVERSATION))],
    )


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@dataclass
class _Reading:
    """Reads one setting after the other, and keeps the sentences about those that cannot be read."""

    notices: list[str] = field(default_factory=list)

    def of(self, read: Callable[..., Any], *given: Any) -> Any:
        """What `read` gives; None where it raises BadInput."""
        try:
            return read(*given)
        except BadInput as error:
            self.notices.append(str(error))
            return None
