"""Runs of other time zones: kept, ordered, filtered and shown in UTC."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from stored import copy_of

from engine.errors import BadInput
from specviz.archive import lines
from specviz.pages import offline
from specviz.pages.inspector import Inspector
from specviz.pages.saved import SavedRuns
from specviz.showing.channel import Streams
from specviz.showing.trace import trace
from specviz.store import Store, open_store, schema
from specviz.store.database import open_database
from specviz.store.location import locate
from specviz.times import as_utc, day_and_time

TOKYO, UTC, ANGELES = "2026-01-31T23:30:00+09:00", "2026-01-31T20:00:00+00:00", "2026-01-31T20:00:00-08:00"


@pytest.fixture
def store() -> Iterator[Store]:
    with open_store(":memory:") as opened:
        zones = {"angeles": ANGELES, "tokyo": TOKYO, "utc": UTC}
        copies = [copy_of(name, created_at=zone) for name, zone in zones.items()]
        opened.add_copies(lines.from_lines("\n".join(lines.to_lines(copies))))
        yield opened


def find(store: Store, **given: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(SavedRuns(store, Streams()).find(json.dumps(given)))["rows"]
    return found


def test_imported_runs_stand_at_their_moment_in_utc(store: Store) -> None:
    assert [(row["id"], row["when"]) for row in find(store)] == [
        ("angeles", "2026-02-01 04:00:00"),
        ("utc", "2026-01-31 20:00:00"),
        ("tokyo", "2026-01-31 14:30:00"),
    ]


def test_a_day_of_the_filter_is_a_day_in_utc(store: Store) -> None:
    assert [row["id"] for row in find(store, until="2026-01-31")] == ["utc", "tokyo"]
    assert [row["id"] for row in find(store, since="2026-02-01")] == ["angeles"]
    assert store.count_runs(since=date(2026, 1, 31), until=date(2026, 1, 31)) == 2


def test_pages_of_such_runs_follow_each_other(store: Store) -> None:
    assert [row.id for row in store.list_runs(before="angeles")] == ["utc", "tokyo"]


def test_every_view_shows_the_same_moment(store: Store) -> None:
    menu = json.loads(Inspector(store).arrive({})[0])["runs"]
    assert "2026-02-01 04:00:00 UTC · " in menu[0]["label"]
    assert trace(store.events("tokyo"))["run"]["created"] == "2026-01-31 14:30:00"
    assert "2026-01-31 14:30 UTC" in offline.to_html(store, ["tokyo"])
    sides = json.loads(SavedRuns(store, Streams()).compare(["tokyo", "angeles"]))["runs"]
    assert [side["when"].split(", ")[0] for side in sides] == ["2026-01-31 14:30:00 UTC", "2026-02-01 04:00:00 UTC"]


def test_what_was_recorded_is_exported_as_it_was(store: Store) -> None:
    assert store.copy("tokyo").started.created_at == TOKYO


@pytest.mark.parametrize(
    ("given", "utc"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00"),
        ("20260131T233000+0900", "2026-01-31T14:30:00+00:00"),
        ("2026-01-31T23:30:00.123456+09:00", "2026-01-31T14:30:00.123456+00:00"),
        ("2026-01-31T23:30:00", "2026-01-31T23:30:00"),
        ("0001-01-01T00:00:00+09:00", "0001-01-01T00:00:00+09:00"),
        ("soon", "soon"),
        ("", ""),
    ],
)
def test_what_is_no_moment_stays_as_it_is(given: str, utc: str) -> None:
    assert as_utc(given) == utc
    assert day_and_time(given) == utc[:19].replace("T", " ")


def test_times_in_utc_compare_as_texts() -> None:
    given = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.500Z", "2026-01-01T02:00:01+02:00", "2026-01-01T00:00:01.1Z"]
    assert sorted(map(as_utc, given)) == [as_utc(time) for time in given]


def test_a_time_that_has_no_place_in_utc_is_refused() -> None:
    copy = copy_of("a", created_at="0001-01-01T00:00:00+09:00")
    with pytest.raises(BadInput, match="created_at"):
        lines.from_lines("\n".join(lines.to_lines([copy])))


def test_runs_that_an_older_program_took_in_are_put_right(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with open_store(path) as store:
        store.add_copies([copy_of("a", created_at=TOKYO), copy_of("b", created_at=UTC)])
    database, settings = open_database(locate(path)), schema.config()
    with database.writing() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0004")
    database.close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE runs SET created_at = ? WHERE id = 'a'", (TOKYO,))
    raw.close()
    with open_store(path) as store:
        assert [(row.id, row.created_at) for row in store.list_runs()] == [
            ("b", UTC),
            ("a", "2026-01-31T14:30:00+00:00"),
        ]
