"""How to generate: the settings of one session, checked when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from engine import options
from engine.errors import BadInput
from engine.options import option

MAX_STOP_CHARS = 200
RULES = ("auto", "greedy", "node_sampling", "rejection", "typical")


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
    rule: str = option("auto", "Verification rule.", choices=RULES)
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
        if self.rule == "greedy" and self.temperature > 0:
            raise BadInput(f"Rule greedy needs temperature 0, and temperature is {self.temperature:g}.")
        if self.rule in ("rejection", "typical") and self.temperature == 0:
            raise BadInput(f"Rule {self.rule} needs a temperature above 0; at temperature 0 use rule greedy.")

    @property
    def is_greedy(self) -> bool:
        """Whether each token is the target's likeliest one."""
        return self.temperature == 0

    @property
    def verification_rule(self) -> str:
        """The rule that `auto` stands for."""
        if self.rule != "auto":
            return self.rule
        return "greedy" if self.is_greedy else "node_sampling"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {**vars(self), "stop_strings": list(self.stop_strings)}
