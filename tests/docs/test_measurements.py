"""The README's table is the newest report; the bench page defines each of its figures."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from toys import draft_for

from engine.bench import Plan, settings, summarise
from engine.bench.report import DEFINITIONS
from engine.config import GenerationConfig
from engine.suites import Question
from scripts import readme_bench
from tests.docs.sections import first_cells, read, section


def test_readme_table_is_the_newest_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["readme_bench.py", "--check"])
    assert (readme_bench.main(), capsys.readouterr().err) == (0, "")


def test_the_newest_whole_report_is_chosen_whatever_its_name(tmp_path: Path) -> None:
    for name, day, is_complete in (("a", 3, True), ("b", 1, True), ("c", 9, False)):
        report = {"created_at": f"2026-01-0{day}T00:00:00+00:00", "is_complete": is_complete}
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    assert readme_bench.newest(tmp_path).name == "a.json"
    with pytest.raises(SystemExit, match="holds no report"):
        readme_bench.newest(tmp_path / "empty")


def test_a_new_report_changes_the_readme_between_the_marks_only(tmp_path: Path) -> None:
    report = json.loads(readme_bench.newest().read_text(encoding="utf-8"))
    row = {"suite": "novel", "category": "", "method": "magic", "tokens_per_second": 9.0, "speedup": 2.0}
    row |= {"speedup_low": None, "speedup_high": None, "block_efficiency": None, "same_text": "1/1"}
    cost = {"num_context": 99, "passes": [{"num_rows": 1, "ms": 5.0, "ratio": 1.0}]}
    report |= {
        "rows": [row, {**row, "category": "qa"}],
        "row_cost": cost,
        "skipped": [{"suite": "novel", "category": "qa", "num_questions": 3}],
    }
    path = tmp_path / "new.json"
    path.write_text(json.dumps(report))
    given = read("README.md")
    changed = readme_bench.updated(given, path)
    for mark in ("<!-- bench:start -->", "<!-- bench:end -->"):
        assert changed.count(mark) == 1
    assert changed.split("<!-- bench:start -->")[0] == given.split("<!-- bench:start -->")[0]
    assert changed.split("<!-- bench:end -->")[1] == given.split("<!-- bench:end -->")[1]
    assert changed.count("| novel | `magic` | 9 | 2.00× | – | 1/1 |") == 1
    assert "at 99 tokens of context: 1 → 5 ms (1.00×)." in changed
    assert "Skipped, too long for the context: 3 of novel qa." in changed


def test_bench_page_defines_every_figure_in_the_codes_own_words() -> None:
    rows = [f"| `{name}` | {definition} |" for name, definition in DEFINITIONS.items()]
    assert re.findall(r"^\| `.*\|$", section(read("docs/bench.md"), "Figures"), re.MULTILINE) == rows


def test_bench_page_names_every_key_of_a_report() -> None:
    named = set(first_cells(section(read("docs/bench.md"), "Report")))
    plan = Plan({}, [Question("suite", ("prompt",))], GenerationConfig())
    report = summarise([], settings(draft_for(8, 64), plan), plan, (256, []))
    assert {*report.to_dict(), "cells"} == named
