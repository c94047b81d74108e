"""Races on scripted devices: who races, what happens, the rows of a board."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from scripted import ScriptedDevice
from stored import session

from engine.errors import RunFailed
from engine.events import Event
from specviz.decoding.device import Request
from specviz.decoding.request import parse_race
from specviz.decoding.session import Sessions
from specviz.race import board
from specviz.race.course import course
from specviz.race.fold import RaceState, fold_all
from specviz.showing.fold import ViewState
from specviz.showing.fold import fold_all as fold_run
from specviz.showing.notices import Audited, Ended, Happening, InLane, Lane, Opened
from specviz.store import Store

DEPTHS = (2, 3, 4)
"""Of the drafting lanes beside plain decoding; 3 is the option's default."""


@dataclass
class Racer(ScriptedDevice):
    """Breaks down for one draft depth; holds nothing between its sessions."""

    bad_depth: int = 0

    def generate(self, request: Request, *rest: Any) -> Iterator[Event]:
        if self.bad_depth and request.options.get("depth") == self.bad_depth:
            raise RunFailed("This depth breaks the scripted device.")
        return super().generate(request, *rest)


def contenders(device: ScriptedDevice, depths: tuple[int, ...] = DEPTHS, **sampling: Any) -> tuple[Request, ...]:
    """Plain decoding, and a lane for each draft depth."""
    lanes = [{"method": "scripted", "options": {"depth": depth}} for depth in depths]
    settings = {"lanes": lanes, "sampling": {"max_new_tokens": 30} | sampling}
    return parse_race(device, "Tell a story.", "toy", json.dumps(settings))


def run_all(device: ScriptedDevice, store: Any, lanes: tuple[Request, ...], seed: int = 1) -> list[Happening]:
    """A race from start to end."""
    work = course(lanes, random.Random(seed))
    return [happening for batch in Sessions(device, store).perform(work, "v") for happening in batch]


def race_in(
    store: Store, device: ScriptedDevice, depths: tuple[int, ...] = DEPTHS, seed: int = 1
) -> tuple[RaceState, list[str]]:
    """A race that is saved, with the ids of its runs."""
    state = fold_all(RaceState(), run_all(device, store, contenders(device, depths), seed))
    assert store.flush()
    return state, [lane.run_id for lane in state.lanes]


def in_lane(happenings: list[Happening], kind: type) -> list[tuple[int, Any]]:
    """What of a kind happened in lanes, each with the lane's place."""
    lanes = [happening for happening in happenings if isinstance(happening, InLane)]
    return [(lane.place, lane.happening) for lane in lanes if isinstance(lane.happening, kind)]


def methods(device: ScriptedDevice) -> dict[str, Any]:
    """The catalog by name."""
    return {method.name: method for method in device.methods()}


def row(label: str = "Draft model", **fields: Any) -> board.Row:
    """A lane that has run."""
    known = board.Row(label, "draft_model", "exact", 2, "finished", 64, 64, 512.5, 124.9, 1.918, 2.5, 0.5, 1.25,
                      None, "identical", "identical to plain decoding (64 tokens)", "")  # fmt: skip
    return replace(known, **fields)


def raced() -> RaceState:
    """A plain lane, and one that wrote the same."""
    lanes = (Lane("plain", {}, "p"), Lane("draft_model", {}, "f"))
    plain, fast = session("p", method="plain"), session("f")
    views = (
        fold_run(ViewState(), [Opened("method"), *plain, Ended()]),
        fold_run(ViewState(), [Opened("method"), *fast, Audited("identical", "identical (4 tokens)"), Ended()]),
    )
    return RaceState("ended", lanes=lanes, views=views, order=(1, 0), group_id="g")
