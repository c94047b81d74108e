"""What runs that are shown side by side do not share: settings by difference only, and what makes them incomparable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.events import SessionStarted
from specviz.text import first_line

VALUE_CHARS = 60
_WEIGHTY = {
    "prompt": "prompts",
    "model": "models",
    "device": "devices",
    "dtype": "dtypes",
    "machine": "machines",
    "seed": "seeds",
}


@dataclass(frozen=True)
class Setting:
    """One setting in which the runs differ."""

    name: str
    values: tuple[str, ...]
    """One for each run; empty where it has no such setting."""


def differences(runs: Sequence[SessionStarted | None]) -> tuple[Setting, ...]:
    """Every setting that is not the same in all runs; a run that did not begin has none."""
    tables = [_settings(run) if run else None for run in runs]
    names = dict.fromkeys(name for table in tables if table for name in table)
    found = []
    for name in names:
        values = [_shown(table.get(name, "")) if table else "" for table in tables]
        if len({value for value, table in zip(values, tables, strict=True) if table is not None}) > 1:
            found.append(Setting(name.replace("_", " "), tuple(values)))
    return tuple(found)


def warnings(runs: Sequence[SessionStarted | None]) -> tuple[str, ...]:
    """A sentence for each difference that makes times or texts incomparable."""
    tables = [_settings(run) for run in runs if run]
    differing = [plural for name, plural in _WEIGHTY.items() if len({repr(table.get(name)) for table in tables}) > 1]
    if not differing:
        return ()
    return (f"These runs have different {_listed(differing)}: no speedup is shown across them.",)


def _settings(run: SessionStarted) -> dict[str, Any]:
    """Everything but the method and its own options, by name."""
    return {
        "prompt": run.prompt,
        "model": run.model,
        "device": run.device,
        "dtype": run.dtype,
        "machine": ", ".join(f"{name} {value}" for name, value in sorted(run.machine.items())),
        **run.config,
    }


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _shown(value: object) -> str:
    return first_line(str(value), VALUE_CHARS)
