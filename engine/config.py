"""How to generate: the settings of one session, checked when they are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine import options, verify
from engine.errors import BadInput
from engine.options import option
from engine.verify import DraftMode, Drawing, Rule

MAX_STOP_CHARS = 200
AFTER_FAULT = ("end", "plain")
_LOSSY = ", ".join(name for name in verify.names() if verify.get(name).guarantee == "lossy")
AUTO = "auto"
"""The rule that is the default at the session's temperature."""


@dataclass(frozen=True)
class GenerationConfig:
    """Settings of one session. Raises BadInput where a value is out of its range.

    `temperature` 0 is greedy decoding. `rule` auto is greedy at temperature 0 and node-sampling
    above it, which with a seed gives the same text as plain decoding for every drafter.
    """

    max_new_tokens: int = option(200, "Most tokens to emit.", low=1, high=100_000, unit="tokens")
    temperature: float = option(0.0, "0 is greedy; higher is more varied.", low=0.0, high=10.0)
    top_k: int = option(0, "Keep the k likeliest tokens; 0 keeps all.", low=0, high=1_000_000, unit="tokens")
    top_p: float = option(1.0, "Keep the likeliest tokens that hold this share of probability.", low=0.0, high=1.0)
    repetition_penalty: float = option(1.0, "Above 1 makes tokens of the context less likely.", low=0.1, high=10.0)
    seed: int = option(0, "Same seed, same text.", low=0, high=2**53)
    timeout_s: float = option(0.0, "Stop after this time; 0 never.", low=0.0, high=86_400.0, unit="seconds")
    rule: str = option(AUTO, f"Verification rule; lossy: {_LOSSY}.", choices=(AUTO, *verify.names()))
    after_fault: str = option(
        "end",
        "What a fault of the drafter does: end the run, or leave the rest to plain decoding.",
        choices=AFTER_FAULT,
    )
    has_detail: bool = option(True, "Record probabilities and alternatives in each step's event.")
    stop_strings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for spec in options.specs(type(self)):
            value = getattr(self, spec.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise BadInput(f"Option {spec.name} is {value!r}; wanted {spec.range_text()}.")
            object.__setattr__(self, spec.name, spec.parse(value))
        if any(not 0 < len(stop) <= MAX_STOP_CHARS for stop in self.stop_strings):
            raise BadInput(f"A stop text is empty or too long; wanted 1 to {MAX_STOP_CHARS} characters.")
        if self.top_p <= 0:
            raise BadInput(f"Option top_p is {self.top_p!r}; wanted a number above 0, up to 1.")
        self._check_temperature()

    def _check_temperature(self) -> None:
        needed = self.verification_rule.needs_temperature
        if needed == "zero" and not self.is_greedy:
            raise BadInput(f"Rule {self.rule} needs temperature 0, and temperature is {self.temperature:g}.")
        if needed == "above zero" and self.is_greedy:
            other = verify.default("zero").name
            raise BadInput(f"Rule {self.rule} needs a temperature above 0; at temperature 0 use rule {other}.")

    @property
    def is_greedy(self) -> bool:
        """Whether each token is the target's likeliest one."""
        return self.temperature == 0

    @property
    def verification_rule(self) -> type[Rule]:
        """The rule that is asked for, or the default."""
        if self.rule != AUTO:
            return verify.get(self.rule)
        return verify.default("zero" if self.is_greedy else "above zero")

    @property
    def draft_mode(self) -> DraftMode:
        """How a draft's tokens are to be chosen."""
        return "likeliest" if self.is_greedy else self.verification_rule.draft_mode

    @property
    def drawing(self) -> Drawing | None:
        """How a draft is to be drawn; None where it is not."""
        return self.verification_rule.drawing if self.draft_mode == "drawn" else None

    @staticmethod
    def from_dict(given: Mapping[str, Any]) -> GenerationConfig:
        """Of the settings of a recorded session; others, as of its conversation, are left aside. Raises BadInput."""
        known = {name: given[name] for name in GenerationConfig.__dataclass_fields__ if name in given}
        return GenerationConfig(**{**known, "stop_strings": tuple(given.get("stop_strings", ()))})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {**vars(self), "stop_strings": list(self.stop_strings)}
