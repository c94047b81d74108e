"""The recorded run that comes with the program: assets/tour.jsonl.

Made by scripts/record_tour.py with the embedded model, and read as any other run.
"""

from __future__ import annotations

import functools

from engine import events as records
from engine.events import Event
from specviz import ASSETS

ID = "recorded"
"""Where an address names it as a run."""
TITLE = "The recorded example"


@functools.cache
def events() -> tuple[Event, ...]:
    """Its events, as they were."""
    lines = (ASSETS / "tour.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(records.from_json(line) for line in lines)
