"""Two to eight stored runs side by side: what differs, what makes a comparison unfair, and how far apart they are.

Pure: from rows and events to plain values. Nothing is refused for being different; it is said.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from engine.events import Event, SessionStarted
from engine.metrics import summarise
from specviz.showing import origin
from specviz.showing.steps import step_ms, steps_of
from specviz.showing.tiles import number, percent
from specviz.text import first_line

FEWEST, MOST = 2, 8
BLOCK = 8
"""Tokens of one pair. One token alone jumps between nothing and a whole step."""
SETTING_CHARS = 160
TERMS = {
    "Tokens/s": "tokens-per-second",
    "Block efficiency": "block-efficiency",
    "Acceptance rate": "acceptance-rate",
    "First token, ms": "time-to-first-token-ms",
    "Emitted tokens": "emitted-tokens",
}
"""Where the glossary explains a figure of `measures`."""
_PLAIN = ("method", "model", "guarantee", "device", "dtype", "prompt")
_GROUPS = {"config": "", "method_options": "option ", "machine": "machine "}
WARNINGS = {
    "model": "The targets differ: times and texts come from different models.",
    "prompt": "The prompts differ: acceptance depends on the text, so a ratio here is not one of the methods alone.",
    "dtype": "The precisions differ: a pass of one costs more than a pass of the other.",
    "machine": "The machines differ: times were not measured under the same conditions.",
    "device": "The devices differ: times were not measured under the same conditions.",
    "seed": "The seeds differ: sampled texts differ with them.",
    "sampling": "The sampling settings differ: acceptance changes with temperature, top-k and top-p.",
    "cut": "Not all runs came to their end: a run that was cut short is not the whole text.",
}
_SAMPLING = ("temperature", "top_k", "top_p", "repetition_penalty")


@dataclass(frozen=True)
class Paired:
    """How much longer one run took than the first, on the tokens that both wrote. Milliseconds per token."""

    num_pairs: int
    """Blocks of BLOCK tokens, at the same place of the same text."""
    num_shared: int
    """Tokens up to where the two texts part."""
    mean_ms: float | None
    spread_ms: float | None
    """Standard deviation over the pairs; None for fewer than two."""
    differences_ms: tuple[float, ...]


def differences(runs: Sequence[SessionStarted]) -> tuple[list[list[str]], int]:
    """Settings that are not the same in all runs, `[name, value of each run …]`, and how many are the same."""
    flat = [_settings(run) for run in runs]
    names = list(dict.fromkeys(name for settings in flat for name in settings))
    rows = [[name, *(settings.get(name, "–") for settings in flat)] for name in names]
    differing = [row for row in rows if len(set(row[1:])) > 1]
    return differing, len(rows) - len(differing)


def warnings(runs: Sequence[SessionStarted], statuses: Sequence[str], *, has_claims: bool = False) -> list[str]:
    """Why figures of these runs should not be held against each other; sentences. `has_claims`: some are imported."""
    facts = {
        **{name: [getattr(run, name) for run in runs] for name in ("model", "prompt", "dtype", "machine", "device")},
        "seed": [run.config.get("seed") for run in runs],
        "sampling": [{name: run.config.get(name) for name in _SAMPLING} for run in runs],
    }
    found = [WARNINGS[name] for name, values in facts.items() if any(value != values[0] for value in values)]
    found += [WARNINGS["cut"]] * any(status != "finished" for status in statuses)
    return found + [origin.WARNING] * has_claims


def measures(runs: Sequence[Sequence[Event]]) -> list[list[str]]:
    """The figures of each run, `[name, value of each run …]`."""
    metrics = [summarise(events) for events in runs]
    shown = {
        "Tokens/s": [number(one.tokens_per_second, 1) for one in metrics],
        "Block efficiency": [number(one.block_efficiency, 2) for one in metrics],
        "Acceptance rate": [percent(one.acceptance_rate) for one in metrics],
        "First token, ms": [number(one.time_to_first_token_ms, 0) for one in metrics],
        "Emitted tokens": [f"{sum(len(step.emitted) for step in steps_of(events)):,}" for events in runs],
    }
    return [[name, *values] for name, values in shown.items()]


def paired(first: Sequence[Event], other: Sequence[Event]) -> Paired:
    """The second run against the first, block by block over the beginning that their texts share."""
    ours, theirs = _token_times(first), _token_times(other)
    shared = sum(1 for _ in takewhile(lambda two: two[0][0] == two[1][0], zip(ours, theirs, strict=False)))
    blocks = range(0, shared - BLOCK + 1, BLOCK)
    found = tuple(_mean_ms(theirs[at : at + BLOCK]) - _mean_ms(ours[at : at + BLOCK]) for at in blocks)
    mean_ms = statistics.fmean(found) if found else None
    spread_ms = statistics.stdev(found) if len(found) > 1 else None
    return Paired(len(found), shared, mean_ms, spread_ms, found)


def paired_text(pair: Paired) -> str:
    """The difference in a sentence, with its n and its spread."""
    if pair.mean_ms is None:
        return f"the texts share only their first {pair.num_shared} tokens: no pair of {BLOCK} tokens to compare"
    direction = "slower" if pair.mean_ms > 0 else "faster"
    spread = "" if pair.spread_ms is None else f" ± {pair.spread_ms:.2f}"
    alone = "; one pair alone shows no spread" if pair.spread_ms is None else ""
    return (
        f"{abs(pair.mean_ms):.2f}{spread} ms per token {direction} "
        f"(n = {pair.num_pairs} blocks of {BLOCK} tokens that both wrote{alone})"
    )


def _settings(run: SessionStarted) -> dict[str, str]:
    plain = {name: first_line(str(getattr(run, name)), SETTING_CHARS) for name in _PLAIN}
    for group, prefix in _GROUPS.items():
        for name, value in getattr(run, group).items():
            plain[f"{prefix}{name.replace('_', ' ')}"] = first_line(_shown(value), SETTING_CHARS)
    return plain


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _token_times(events: Sequence[Event]) -> list[tuple[int, float]]:
    """Each token with its share of its step's time, in milliseconds."""
    return [(token.token_id, step_ms(step) / len(step.emitted)) for step in steps_of(events) for token in step.emitted]


def _mean_ms(tokens: Sequence[tuple[int, float]]) -> float:
    return statistics.fmean(ms for _, ms in tokens)
