"""Changes to the list: taken in, renamed, deleted; and who may not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from benching import ASKED, IDS, benchmarks, cell, report

from engine.errors import BadInput
from specviz.bench import EXAMPLE
from specviz.bench.keeping import Keeping
from specviz.policy import PUBLIC

GIVEN = json.dumps(report("toy\ud800", cell("plain", 2.0), created_at="2026-01-02T03:04:05+00:00"))


@pytest.fixture
def keeping(tmp_path: Path) -> Keeping:
    return Keeping(benchmarks(tmp_path))


def test_a_report_is_taken_in_renamed_and_deleted(keeping: Keeping) -> None:
    shelf = keeping.benchmarks.shelf
    bench_id = keeping.change("import", None, GIVEN)
    assert [(entry.id, entry.title, entry.num_runs) for entry in shelf.entries()] == [(bench_id, "s: toy\\ud800", 1)]
    assert keeping.change("rename", bench_id, "  After \n the change ") == bench_id
    assert shelf.entries()[0].title == "After the change"
    with pytest.raises(BadInput, match="measured elsewhere"):
        keeping.benchmarks.resume(bench_id)
    assert keeping.change("delete", bench_id, None) == ""
    assert shelf.entries() == []


def test_one_that_was_measured_here_keeps_what_was_asked(keeping: Keeping) -> None:
    shelf = keeping.benchmarks.shelf
    shelf.add(IDS[0], ASKED, "2026-01-01T00:00:00+00:00")
    keeping.change("rename", IDS[0], "Before")
    assert (shelf.entries()[0].title, shelf.asked(IDS[0])) == ("Before", ASKED)


@pytest.mark.parametrize(
    ("do", "bench_id", "text", "says"),
    [
        ("rename", EXAMPLE, "x", "neither renamed nor deleted"),
        ("delete", EXAMPLE, "", "neither renamed nor deleted"),
        ("delete", "../..", "", "There is no benchmark"),
        ("rename", IDS[1], "x", "There is no benchmark"),
        ("rename", IDS[1], "\n", "The title is empty"),
        ("format", IDS[1], "", "format"),
        ("import", None, "{", "not JSON"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(keeping: Keeping, do: str, bench_id: str, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        keeping.change(do, bench_id, text)


def test_a_public_instance_changes_nothing(keeping: Keeping) -> None:
    keeping.benchmarks.visitors.policy = replace(PUBLIC, moderator="sesame")
    assert not keeping.may_change()
    assert keeping.may_change(f"{'0' * 32}.sesame")
    with pytest.raises(BadInput, match="public"):
        keeping.change("import", None, GIVEN)
    assert keeping.benchmarks.shelf.entries() == []
