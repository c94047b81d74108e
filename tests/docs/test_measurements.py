"""The README's table is the newest report; the bench page defines each of its figures."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from toys import draft_for

from engine import verify
from engine.bench import Plan, settings, summarise
from engine.bench.report import DEFINITIONS
from engine.config import GenerationConfig
from engine.suites import Question
from scripts import readme_bench
from tests.docs.sections import first_cells, read, section


def test_the_tables_of_the_pages_are_the_newest_reports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["readme_bench.py", "--check"])
    assert (readme_bench.main(), capsys.readouterr().err) == (0, "")


ROW = {"suite": "novel", "category": "", "method": "magic", "tokens_per_second": 9.0, "speedup": 2.0}
MACHINE = {"processor": "Abacus", "num_threads": 2, "torch": "2", "transformers": "5"}
ROW |= {"speedup_low": None, "speedup_high": None, "block_efficiency": None, "same_text": "1/1"}


def made(folder: Path, name: str, day: int, model: str = "story", temperature: float = 0.0, **more: Any) -> Path:
    """A report file."""
    report = json.loads(readme_bench.newest(readme_bench.whole_reports()).path.read_text(encoding="utf-8"))
    report |= {"created_at": f"2027-01-0{day}T00:00:00+00:00", "model": model, "rows": [ROW], **more}
    report["config"]["temperature"] = temperature
    path = folder / f"{name}.json"
    path.write_text(json.dumps(report))
    return path


def test_the_newest_whole_report_is_chosen_whatever_its_name(tmp_path: Path) -> None:
    for name, day, is_complete in (("a", 3, True), ("b", 1, True), ("c", 9, False)):
        made(tmp_path, name, day, is_complete=is_complete)
    assert readme_bench.newest(readme_bench.whole_reports(tmp_path)).path.name == "a.json"
    with pytest.raises(SystemExit, match="holds no report"):
        readme_bench.whole_reports(tmp_path / "empty")


def between(text: str, mark: str) -> str:
    return text.split(f"<!-- {mark}:start -->\n")[1].split(f"<!-- {mark}:end -->")[0]


def test_each_report_stands_where_its_model_and_temperature_belong(tmp_path: Path) -> None:
    pages = {"README.md": read("README.md"), "docs/bench.md": read("docs/bench.md")}
    made(tmp_path, "story", 1)
    first = readme_bench.updated(pages, readme_bench.whole_reports(tmp_path))
    line = "| novel | `magic` | 9 | 2.00× | – | 1/1 |"
    assert line in between(first["README.md"], "bench"), "the story model's until there is another"
    assert line in between(first["docs/bench.md"], "story")
    assert between(first["docs/bench.md"], "sampled") == ""
    made(tmp_path, "greedy", 2, "smollm2-135m", machine={**MACHINE, "instructions": "amx_bf16"})
    made(tmp_path, "sampled", 3, "smollm2-135m", 0.8)
    made(tmp_path, "beside", 1, "smollm2-135m", machine={**MACHINE, "instructions": "beads"})
    found = readme_bench.updated(first, readme_bench.whole_reports(tmp_path))
    assert "| `magic` | 2.00× | 1/1 |" in between(found["README.md"], "bench")
    assert "greedy.json" in between(found["README.md"], "bench")
    assert between(found["docs/bench.md"], "story") == between(first["docs/bench.md"], "story")
    assert "temperature 0.8" in between(found["docs/bench.md"], "sampled")
    assert "beside.json" in between(found["docs/bench.md"], "without-amx"), "the last one without, not the newest"


def around_marks(page: str) -> str:
    """A page without what stands between marks of measurements."""
    return re.sub(r"(<!-- ([a-z-]+):start -->\n).*?(?=<!-- \2:end -->)", r"\1", page, flags=re.DOTALL)


def test_a_new_report_changes_a_page_between_its_marks_only(tmp_path: Path) -> None:
    cost = {"num_context": 99, "passes": [{"num_rows": 1, "ms": 5.0, "ratio": 1.0}]}
    skipped = [{"suite": "novel", "category": "qa", "num_questions": 3}]
    made(tmp_path, "new", 1, rows=[ROW, {**ROW, "category": "qa"}], row_cost=cost, skipped=skipped)
    given = {"README.md": read("README.md"), "docs/bench.md": read("docs/bench.md")}
    changed = readme_bench.updated(given, readme_bench.whole_reports(tmp_path))
    for page, mark in (("README.md", "bench"), ("docs/bench.md", "story")):
        assert around_marks(changed[page]) == around_marks(given[page])
        block = between(changed[page], mark)
        assert block.count("| novel | `magic` | 9 | 2.00× | – | 1/1 |") == 1
        assert "at 99 tokens of context: 1 → 5 ms (1.00×)." in block
        assert "Skipped, too long for the context: 3 of novel qa." in block
    with pytest.raises(SystemExit, match=r"README\.md has no lines <!-- bench:start -->"):
        readme_bench.updated({**given, "README.md": "no marks"}, readme_bench.whole_reports(tmp_path))


def test_a_link_leads_from_the_page_to_the_report() -> None:
    report = readme_bench.newest(readme_bench.whole_reports())
    name = report.path.name
    for page, link in (("README.md", f"docs/bench/{name}"), ("docs/bench.md", f"bench/{name}")):
        assert f"Report: [{link}]({link}), by `" in readme_bench.block(report, page, lambda rows: "table")


def test_bench_page_defines_every_figure_in_the_codes_own_words() -> None:
    rows = [f"| `{name}` | {definition} |" for name, definition in DEFINITIONS.items()]
    assert re.findall(r"^\| `.*\|$", section(read("docs/bench.md"), "Figures"), re.MULTILINE) == rows


def test_bench_page_names_every_key_of_a_report() -> None:
    named = set(first_cells(section(read("docs/bench.md"), "Report")))
    plan = Plan({}, [Question("suite", ("prompt",))], GenerationConfig())
    report = summarise([], settings(draft_for(8, 64), plan), plan, (256, []))
    assert {*report.to_dict(), "cells"} == named


def test_what_the_inspector_says_that_lossy_rules_move_is_the_tables_for_four_drafts() -> None:
    tables, script = section(read("docs/verification.md"), "What lossy rules move"), read("assets/js/acceptance.js")
    for rule in (name for name in verify.names() if verify.get(name).guarantee == "lossy"):
        rows = re.findall(rf"^\| `{rule}` moved \| (.+) \|$", tables, re.MULTILINE)
        said = re.search(rf"^  {rule}: \[.*'([\d.]+) % and ([\d.]+) %'\],$", script, re.MULTILINE)
        assert said, rule
        measured = [100 * float(row.split(" | ")[2]) for row in rows]
        assert [float(share) for share in said.groups()] == pytest.approx(measured, abs=0.5)
