"""A report as a text to keep: whole, escaped, asking nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benching import REPORT
from scripted_kinds import HOSTILE

from specviz.bench import EXAMPLE, Shelf, document
from specviz.bench.document import _shade, to_html


@pytest.mark.parametrize("kind", document.KINDS)
def test_a_report_is_kept_with_what_it_has_to_be_read_with(kind: str, tmp_path: Path) -> None:
    report = Shelf(tmp_path).open(EXAMPLE)
    text = document.write(report, kind)
    speedup = report["rows"][0]["speedup"]
    written = str(speedup) if kind == "json" else f"{speedup:.2f}"
    for said in (report["machine"]["processor"], report["dtype"], "prompt_lookup", written):
        assert said in text


def test_the_html_page_asks_for_nothing_and_runs_nothing(tmp_path: Path) -> None:
    report = Shelf(tmp_path).open(EXAMPLE)
    for row in [*report["rows"], *report["overall"]]:
        row["method"] = HOSTILE[0] + row["method"]
        row["suite"] = row["suite"] if row["suite"] == "all" else HOSTILE[5]
    text = document.to_html({**report, "model": HOSTILE[2], "commit": HOSTILE[0]})
    assert not [word for word in HOSTILE if "<" in word and word in text]
    assert "<script" not in text
    assert "://" not in text.replace("https://example.com/", "")


@pytest.mark.parametrize("kind", document.KINDS)
def test_what_is_to_be_said_of_methods_stands_in_it(kind: str, tmp_path: Path) -> None:
    report = Shelf(tmp_path).open(EXAMPLE)
    said = "The heads were trained on other weights."
    assert said in document.write({**report, "caveats": [said]}, kind)
    former = {name: value for name, value in report.items() if name != "caveats"}
    assert said not in document.write(former, kind)


def test_a_json_report_is_what_the_command_line_writes(tmp_path: Path) -> None:
    report = json.loads(document.write(Shelf(tmp_path).open(EXAMPLE), "json"))
    assert "overall" not in report
    assert report["rows"]
    assert report["cells"]


def test_faster_is_blue_slower_orange_and_as_fast_nothing() -> None:
    assert _shade(1.0, 2.0) == "background: rgba(109, 179, 221, 0.50)"
    assert _shade(-1.0, 2.0) == "background: rgba(240, 163, 107, 0.50)"
    assert _shade(0.0, 2.0) == "background: rgba(109, 179, 221, 0.00)"
    assert _shade(4.0, 2.0).endswith("1.00)")
    assert _shade(None, 2.0) == ""


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_report_that_was_interrupted_says_so(is_complete: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specviz.bench.document.markdown.head", lambda report: "head")
    monkeypatch.setattr("specviz.bench.document.markdown.row_cost_line", lambda cost: "costs")
    page = to_html({**REPORT, "is_complete": is_complete, "row_cost": [], "skipped": []})
    assert ("Interrupted: only the rounds that were finished" in page) == (not is_complete)
    assert page.index("<h2>s</h2>") < page.index("<h2>t</h2>")
    table = page[page.index("<h2>s</h2>") : page.index("<h2>t</h2>")]
    assert table.index("<td>b</td>") < table.index("<td>a</td>")
    assert "<td>b</td><td>10.00</td><td>4.00</td><td>2.00</td><td>1.50</td><td>1.20</td><td>0.25</td>" in table
