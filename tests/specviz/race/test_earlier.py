"""Races that were run before, as rows for the page."""

from __future__ import annotations

from typing import Any

import pytest

from specviz.race.earlier import earlier
from specviz.store import GroupRow


class Groups:
    """So many races, of which one run of two is there."""

    def __init__(self, num_races: int) -> None:
        lanes = [
            {"method": "plain", "options": {}, "run_id": "p"},
            {"method": "scripted", "options": {}, "run_id": "s"},
        ]
        self.groups = [
            GroupRow(f"g{n}", "2026-01-01T10:20:30+00:00", "comparison", f"Race {n}", {"lanes": lanes})
            for n in range(num_races)
        ]

    def list_groups(self, limit: int, offset: int, *, kind: str | None, viewer: str) -> list[GroupRow]:
        return self.groups[offset : offset + limit] if kind == "comparison" else []

    def runs_of_groups(self, group_ids: Any) -> dict[str, list[str]]:
        return {group_id: ["s"] for group_id in group_ids}


@pytest.mark.parametrize(("num_races", "has_older"), [(10, False), (11, True)])
def test_ten_earlier_races_are_a_page(num_races: int, has_older: bool) -> None:
    found = earlier(Groups(num_races), {}, 0)
    assert (len(found["rows"]), found["hasOlder"]) == (10, has_older)
    second = earlier(Groups(num_races), {}, 1)
    assert [race["prompt"] for race in second["rows"]] == ["Race 10"] * has_older
    first = found["rows"][0]
    assert (first["when"], first["runs"], first["ids"]) == ("2026-01-01 10:20", 1, ["p", "s"])
    assert first["note"] == "1 of its runs is not here: deleted, or never run."


def test_a_lane_that_failed_is_not_missed() -> None:
    groups = Groups(1)
    groups.groups[0].details["lanes"][0]["problem"] = "It broke."
    assert earlier(groups, {}, 0)["rows"][0]["note"] == ""
    groups.groups[0].details["lanes"].append({"method": "m", "run_id": "x"})
    groups.groups[0].details["lanes"].append({"method": "m", "run_id": "y"})
    assert earlier(groups, {}, 0)["rows"][0]["note"] == "2 of its runs are not here: deleted, or never run."
