"""What a visitor asks a benchmark for, checked. Every value may come from anybody, not only from our page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from engine import suites
from engine.bench import Plan
from engine.config import GenerationConfig
from engine.errors import BadInput, UnknownName
from engine.options import OptionSpec, specs
from engine.suites import Question
from engine.suites.questions import to_question
from specviz.decoding.device import PLAIN, Device
from specviz.decoding.request import MAX_PROMPT_CHARS, known_model, method_options
from specviz.policy import MAX_NEW_TOKENS
from specviz.text import without_surrogates

OWN = "own prompts"
"""The suite of the prompts that a visitor gave."""
RULE = "---"
"""A line between prompts of several lines."""
MAX_OWN_PROMPTS = 50
MAX_RUNS = 5_000
MAX_OPTION_LINES = 40
NUM_PROMPTS = OptionSpec("prompts per suite", 6, "The first of each suite.", low=1, high=100)
NUM_REPEATS = OptionSpec("repeats", 1, "Runs per prompt and method.", low=1, high=20)
_CONFIG = {spec.name: spec for spec in specs(GenerationConfig)}


@dataclass(frozen=True)
class Asked:
    """One benchmark to run. Made by `parse`, or read back from a file that `parse` let through."""

    model: str
    suites: tuple[str, ...]
    num_prompts: int
    """The first of each suite."""
    own_prompts: tuple[str | tuple[str, ...], ...]
    """A text, or what is said turn by turn."""
    methods: tuple[str, ...]
    num_repeats: int
    max_new_tokens: int
    temperature: float
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of each method that is not to run as it comes."""

    @property
    def title(self) -> str:
        """In a few words."""
        asked = [*self.suites, *([OWN] if self.own_prompts else [])]
        return f"{', '.join(asked)}: {', '.join(map(self._titled, self.methods))}"

    @property
    def num_runs(self) -> int:
        """Timed runs, plain decoding's among them."""
        plan = self.plan()
        return len(plan.rounds) * len(plan.contenders)

    def _titled(self, method: str) -> str:
        chosen = [f"{name}={value}" for name, value in self.options.get(method, {}).items()]
        return f"{method} ({', '.join(chosen)})" if chosen else method

    def plan(self) -> Plan:
        """What is to be measured. Nothing is recorded in detail, as on the command line."""
        found = suites.questions(",".join(self.suites), self.num_prompts) if self.suites else []
        own = [Question(OWN, _turns(prompt)) for prompt in self.own_prompts]
        config = GenerationConfig(max_new_tokens=self.max_new_tokens, temperature=self.temperature, has_detail=False)
        return Plan(
            {name: self.options.get(name, {}) for name in self.methods}, [*found, *own], config, self.num_repeats
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Asked:
        """Raises KeyError or TypeError where it is no such record."""
        lists = {name: tuple(values[name]) for name in ("suites", "methods")}
        own = tuple(prompt if isinstance(prompt, str) else tuple(prompt) for prompt in values["own_prompts"])
        return Asked(**{**values, **lists, "own_prompts": own})


def parse(
    device: Device,
    model: object,
    suite_names: object,
    num_prompts: object,
    own_prompts: object,
    methods: object,
    option_lines: object,
    num_repeats: object,
    max_new_tokens: object,
    temperature: object,
) -> Asked:
    """The benchmark in raw values from a page. Raises BadInput with a sentence to show."""
    known = [method.name for method in device.methods()]
    asked = Asked(
        model=known_model(device, model),
        suites=tuple(_known("suite", _list(suite_names), suites.names())),
        num_prompts=_whole(NUM_PROMPTS, num_prompts),
        own_prompts=_prompts(own_prompts),
        methods=tuple(name for name in _known("method", _list(methods), known) if name != PLAIN),
        num_repeats=_whole(NUM_REPEATS, num_repeats),
        max_new_tokens=_whole(_CONFIG["max_new_tokens"], max_new_tokens),
        temperature=float(_CONFIG["temperature"].parse(temperature)),
        options=_method_options(device, option_lines),
    )
    _check_size(asked)
    return asked


def _check_size(asked: Asked) -> None:
    if not asked.suites and not asked.own_prompts:
        raise BadInput("There is nothing to ask: choose a suite or give prompts of your own.")
    if not asked.methods:
        raise BadInput("There is nothing to measure: choose a method besides plain decoding.")
    for name in asked.options:
        if name not in asked.methods:
            raise BadInput(f"There are options for {name}, which is not chosen; choose it or remove its line.")
    if asked.max_new_tokens > MAX_NEW_TOKENS:
        raise BadInput(f"max_new_tokens is {asked.max_new_tokens:,}; this page takes at most {MAX_NEW_TOKENS:,}.")
    if (num_runs := asked.num_runs) > MAX_RUNS:
        raise BadInput(
            f"That is {num_runs:,} runs; this page takes at most {MAX_RUNS:,}. Ask for fewer prompts, methods or "
            "repeats, or use `python -m engine bench`."
        )


def _method_options(device: Device, given: object) -> dict[str, Mapping[str, Any]]:
    """Options in lines such as `draft_model: depth=4, top_k=2`. Raises BadInput, or UnknownName."""
    lines = [line.strip() for line in str(given or "").splitlines() if line.strip()]
    if len(lines) > MAX_OPTION_LINES:
        raise BadInput(f"There are {len(lines)} lines of options; this page takes at most {MAX_OPTION_LINES}.")
    known = {method.name: method for method in device.methods()}
    found: dict[str, Mapping[str, Any]] = {}
    for line in lines:
        name, _, words = (part.strip() for part in line.partition(":"))
        if name not in known:
            raise UnknownName("method", without_surrogates(name)[:80], known)
        if name in found:
            raise BadInput(f"There are two lines of options for {name}; write them in one.")
        found[name] = method_options(device, known[name], _pairs(name, words))
    return found


def _pairs(method: str, words: str) -> dict[str, str]:
    """`depth=4, top_k=2` as a mapping. Raises BadInput."""
    pairs = [word.partition("=") for word in words.split(",")]
    found = {name.strip(): value.strip() for name, _, value in pairs}
    if not all(found) or not all(found.values()) or len(found) < len(pairs):
        shown = without_surrogates(words)[:80]
        raise BadInput(
            f"Options of {method} are {shown!r}; wanted each once, as in `{method}: option=value, option=value`."
        )
    return found


def _whole(spec: OptionSpec, given: object) -> int:
    return int(spec.parse(given))


def _list(given: object) -> Sequence[object]:
    return given if isinstance(given, list | tuple) else []


def _known(kind: str, given: Sequence[object], known: Mapping[str, str] | Sequence[str]) -> list[str]:
    """Each name once. Raises UnknownName."""
    for name in given:
        if not isinstance(name, str) or name not in known:
            raise UnknownName(kind, str(name)[:80], known)
    return list(dict.fromkeys(str(name) for name in given))


def _prompts(given: object) -> tuple[str | tuple[str, ...], ...]:
    """JSON lines as suites have them; or texts of several lines between lines of `---`; or a text a line."""
    text = without_surrogates(str(given or "")).removeprefix("\ufeff")
    found = _from_json(text) if text.lstrip().startswith("{") else _from_text(text)
    if len(found) > MAX_OWN_PROMPTS:
        raise BadInput(f"There are {len(found)} prompts of your own; this page takes at most {MAX_OWN_PROMPTS}.")
    if (longest := max((len(turn) for prompt in found for turn in _turns(prompt)), default=0)) > MAX_PROMPT_CHARS:
        raise BadInput(f"One prompt has {longest:,} characters; this page takes at most {MAX_PROMPT_CHARS:,}.")
    return found


def _from_json(text: str) -> tuple[tuple[str, ...], ...]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return tuple(to_question(OWN, line, f"Your prompts, line {number}").turns for number, line in lines)


def _from_text(text: str) -> tuple[str, ...]:
    lines = text.splitlines()
    if any(line.strip() == RULE for line in lines):
        lines = re.split(rf"^[ \t]*{RULE}[ \t]*$", "\n".join(lines), flags=re.MULTILINE)
    return tuple(part.strip() for part in lines if part.strip())


def _turns(prompt: str | tuple[str, ...]) -> tuple[str, ...]:
    return (prompt,) if isinstance(prompt, str) else prompt
