"""Reports of the command line open, those of former versions too; what is broken is named by its run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benching import IDS, cell, report

from engine.bench import markdown
from engine.errors import BadInput
from specviz.bench import Shelf, document, foreign, sheet
from specviz.bench.shelf import REPORTS

PAIR = (cell("plain", 2.0), cell("fast", 1.0))


@pytest.mark.parametrize("path", sorted(REPORTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_report_that_comes_with_the_program_opens(path: Path, tmp_path: Path) -> None:
    given = json.loads(path.read_text(encoding="utf-8"))
    text = path.read_text(encoding="utf-8")
    shelf = Shelf(tmp_path)
    shelf.take_in(IDS[0], foreign.read(text), "A")
    opened = shelf.open(IDS[0])
    assert len(opened["cells"]) == len(given["cells"])
    assert given["model"] in sheet.of_report(opened)["about"]
    assert given["machine"]["processor"] in markdown.head(opened)
    assert all(document.write(opened, kind) for kind in document.KINDS)


def test_what_is_not_known_is_filled_in_or_left_out() -> None:
    given = report("toy", *PAIR, config={"temperature": "hot", "evil": 1}, machine=[1], row_cost={"passes": [{}, 3]})
    found = foreign.read("\ufeff" + json.dumps(given))
    assert found["config"]["temperature"] == 0.0
    assert "evil" not in found["config"]
    assert found["machine"]["processor"] == "unknown"
    assert markdown.row_cost_line(found["row_cost"]) == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seconds": 0}, "Run 2 of the report: seconds: wanted a number above 0, got 0"),
        ({"seconds": True}, "Run 2 of the report: seconds: wanted a number, got True"),
        ({"method": "m" * 300}, "Run 2 of the report: method"),
        ({"num_emitted": -1}, "num_emitted: wanted 1 or more, got -1"),
        ({"draft_ms": "x"}, "draft_ms: wanted a number, got 'x'"),
        ({"acceptance_histogram": [1, "<b>"]}, r"acceptance_histogram\[1\]: wanted a whole number"),
        ({"seconds": 10**400}, "Run 2 of the report: seconds"),
        ({"category": "other"}, "Run 2 of the report has no run of plain decoding beside it"),
        ({"prompt_index": 7}, "Run 2 of the report has no run of plain decoding beside it"),
    ],
)
def test_a_broken_run_is_a_sentence(change: dict[str, Any], says: str) -> None:
    given = report("toy", *PAIR)
    given["cells"][1] |= change
    with pytest.raises(BadInput, match=says.replace("(", r"\(")):
        foreign.read(json.dumps(given))


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "{}", '{"cells": []}', '{"cells": 1}', '{"cells": [1]}', "[" * 100_000]
)
def test_what_is_no_report_is_a_sentence(text: object) -> None:
    with pytest.raises(BadInput, match=r"report|JSON|runs"):
        foreign.read(text)


def test_a_peers_run_says_nothing_of_passes_and_times() -> None:
    given = report("toy", *PAIR)
    for name in ("target_passes", "draft_ms", "target_ms", "host_ms"):
        del given["cells"][1][name]
    assert foreign.read(json.dumps(given))["cells"][1]["target_ms"] is None


def test_a_number_that_is_none_is_refused() -> None:
    text = json.dumps(report("toy", *PAIR)).replace('"seconds": 1.0', '"seconds": NaN')
    with pytest.raises(BadInput, match="Run 2 of the report: seconds: wanted a number, got nan"):
        foreign.read(text)
