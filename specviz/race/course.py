"""Runs a race: one lane after another in an order drawn by lot, each alone on the device and warmed up.

Two runs at once would slow each other and measure that. A lane that fails says why, and the others go on. At the end
every lane is audited against the plain one. All runs are stored in one group, together with lanes and order.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.events import Event
from specviz.decoding.desk import Desk, has_ended_by_itself
from specviz.decoding.device import PLAIN, Request
from specviz.decoding.job import Work
from specviz.mishaps import broke
from specviz.showing.notices import AS_ASKED, Audited, Ended, Failed, Lane, Racing, Unsaved
from specviz.store import StoreError
from specviz.text import first_line

KIND = "comparison"
WARM_UP_TOKENS = 16
"""Decoded on the race's own prompt before each measured run, and dropped."""
TITLE_CHARS = 80
NOT_RUN = "Not run: the race was stopped before its turn."
OUT_OF_TIME = "Not run: the race's time, as this instance limits it, was up before its turn."


def course(lanes: Sequence[Request], draw: random.Random | None = None) -> Work:
    """The race of these lanes as work for a desk; `draw` decides the order."""
    order = list(range(len(lanes)))
    (draw or random.Random()).shuffle(order)
    run_ids = tuple(uuid.uuid4().hex for _ in lanes)
    return Work(tuple(lanes), lambda desk: _Course(desk, tuple(lanes), tuple(order), run_ids).run())


@dataclass
class _Course:
    """One race while it goes on."""

    desk: Desk
    lanes: tuple[Request, ...]
    order: tuple[int, ...]
    run_ids: tuple[str, ...]
    """Known before anything runs, so that a group whose process dies still names its runs."""
    group_id: str = ""
    runs: dict[int, list[Event]] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    """Why a lane failed, by place."""

    def run(self) -> None:
        """To the end, or until it is stopped."""
        trouble = self._open_group()
        lanes = zip(self.lanes, self.run_ids, strict=True)
        known = tuple(Lane(lane.method, lane.options, run_id) for lane, run_id in lanes)
        self.desk.put(Racing(known, self.order, self.group_id))
        if trouble:
            self.desk.put(Unsaved(trouble))
        for place in self.order:
            self._run_lane(place)
        self._judge()
        if self.group_id:
            self.desk.store.set_group_details(self.group_id, self._details())

    def _open_group(self) -> str:
        """Why there is no group; empty where all is well."""
        if self.lanes[0].sharing == "unkept":
            return AS_ASKED
        try:
            self.group_id = self.desk.store.add_group(
                KIND, first_line(self.lanes[0].prompt, TITLE_CHARS), self._details()
            )
        except StoreError as error:
            return str(error)
        return ""

    def _run_lane(self, place: int) -> None:
        desk = self.desk.lane(place)
        try:
            self._measure(desk, place)
        except Exception as error:  # noqa: BLE001 - a bug in one method must not take the other lanes with it
            self.problems[place] = desk.said(error)
        if place in self.problems:
            desk.put(Failed(self.problems[place]))
        desk.put(Ended())

    def _measure(self, desk: Desk, place: int) -> None:
        """Warm up, then run alone; not where the race was stopped before."""
        lane = self.lanes[place]
        if not (desk.should_stop() or desk.allowance.is_used_up):
            desk.prepare(lane)
            self._warm_up(desk, lane)
        if desk.should_stop() or desk.allowance.is_used_up:
            self.problems[place] = NOT_RUN if desk.should_stop() else OUT_OF_TIME
        else:
            self.runs[place] = desk.record(lane, group_id=self.group_id or None, run_id=self.run_ids[place])

    def _warm_up(self, desk: Desk, lane: Request) -> None:
        """A few tokens with the lane's own options; nobody keeps them."""
        most = min(WARM_UP_TOKENS, lane.config.max_new_tokens)
        for _ in desk.events(replace(lane, config=replace(lane.config, max_new_tokens=most))):
            pass

    def _judge(self) -> None:
        """Each finished lane against the plain one."""
        base = next(place for place, lane in enumerate(self.lanes) if lane.method == PLAIN)
        plain = self.runs.get(base, [])
        if not has_ended_by_itself(plain):
            return
        for place in self.order:
            if place != base and has_ended_by_itself(self.runs.get(place, [])):
                self._judge_lane(place, plain)

    def _judge_lane(self, place: int, plain: list[Event]) -> None:
        desk = self.desk.lane(place)
        try:
            desk.judge(self.lanes[place], plain, self.runs[place])
        except Exception:  # noqa: BLE001 - the run itself is whole, and the other lanes have their verdicts
            desk.put(Audited("not audited", broke("The audit")))
        desk.put(Ended())

    def _details(self) -> dict[str, Any]:
        """What is stored of the race as a whole."""
        lanes = [
            {
                "method": lane.method,
                "options": dict(lane.options),
                "run_id": self.run_ids[place],
                "problem": self.problems.get(place),
            }
            for place, lane in enumerate(self.lanes)
        ]
        return {"lanes": lanes, "order": list(self.order), "warm_up_tokens": WARM_UP_TOKENS}
