"""The tables of measurements in README.md and docs/bench.md, from the newest whole reports in docs/bench.

    python scripts/readme_bench.py            rewrites both pages between their bench marks
    python scripts/readme_bench.py --check    exit status 1 where a page says anything else

The README shows a general chat model decoding greedily, by category; docs/bench.md the story model, what was measured
above temperature 0, and a general model on a processor without AMX, where rows cost what they cost on most. Until there
is a report of a general model, the README shows the story model's. Newest is by `created_at`; a report of an
interrupted bench is passed over.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.bench import markdown  # noqa: E402 - the script stands beside the package it uses
from engine.models import kind_of  # noqa: E402

REPORTS = ROOT / "docs" / "bench"
_CELLS = (
    "A cell: speedup over plain decoding with its interval, then block efficiency; in `plain`'s line, its tokens per "
    "second. Lines stand in the order of their mean speedup."
)


@dataclass(frozen=True)
class Report:
    """A report with its file."""

    path: Path
    values: dict[str, Any]

    @property
    def is_sampled(self) -> bool:
        return bool(self.values["config"]["temperature"] > 0)

    @property
    def kind(self) -> str:
        """Of its model."""
        return kind_of(self.values["model"])


@dataclass(frozen=True)
class Place:
    """A part of a page between two marks, and which reports may stand there."""

    page: str
    mark: str
    is_fit: Callable[[Report], bool]
    write: Callable[[list[Any]], str]
    """From a report's rows to a table."""

    @property
    def marked(self) -> re.Pattern[str]:
        return re.compile(rf"(?<=<!-- {self.mark}:start -->\n).*?(?=<!-- {self.mark}:end -->)", re.DOTALL)

    def updated(self, text: str, reports: list[Report]) -> str:
        """The page's text with the newest fit report; nothing between the marks where there is none."""
        if not self.marked.search(text):
            raise SystemExit(f"{self.page} has no lines <!-- {self.mark}:start --> and <!-- {self.mark}:end -->.")
        fit = [report for report in reports if self.is_fit(report)]
        wanted = block(newest(fit), self.page, self.write) if fit else ""
        return self.marked.sub(lambda _: wanted, text)


def whole_reports(folder: Path = REPORTS) -> list[Report]:
    """All reports that were measured to their end."""
    found = [Report(path, json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.json"))]
    whole = [report for report in found if report.values.get("is_complete", True)]
    if not whole:
        raise SystemExit(f"{folder} holds no report; write one with: python -m engine bench --json {folder}/NAME.json")
    return whole


def newest(reports: list[Report]) -> Report:
    """The report that was measured last."""
    return max(reports, key=lambda report: str(report.values["created_at"]))


def by_category(rows: list[Any]) -> str:
    """A line per method, with how its cells are to be read."""
    return f"{_CELLS}\n\n{markdown.by_category(rows)}"


def block(report: Report, page: str, write: Callable[[list[Any]], str]) -> str:
    """What stands between a page's marks: the table, and what it has to be read with."""
    values, path, folder = report.values, report.path, (ROOT / page).parent
    link = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    parts = [markdown.head(values), write(values["rows"])]
    if "row_cost" in values:
        parts.append(markdown.row_cost_line(values["row_cost"]))
    parts += markdown.skipped_lines(values.get("skipped", []))
    return "\n\n".join([*parts, f"Report: [{link}]({link}), by `{values['command']}`."]) + "\n"


def updated(pages: dict[str, str], reports: list[Report]) -> dict[str, str]:
    """The pages' texts with the newest reports."""
    has_general = any(PLACES[0].is_fit(report) for report in reports)
    for place in PLACES if has_general else (UNTIL_THEN, *PLACES[1:]):
        pages = {**pages, place.page: place.updated(pages[place.page], reports)}
    return pages


def _is_greedy_story(report: Report) -> bool:
    return report.kind == "story" and not report.is_sampled


def _is_greedy_general(report: Report) -> bool:
    return report.kind != "story" and not report.is_sampled


def _is_without_tiles(report: Report) -> bool:
    return _is_greedy_general(report) and report.values["machine"]["instructions"] != "amx_bf16"


PLACES = (
    Place("README.md", "bench", _is_greedy_general, by_category),
    Place("docs/bench.md", "without-amx", _is_without_tiles, by_category),
    Place("docs/bench.md", "story", _is_greedy_story, markdown.table),
    Place("docs/bench.md", "sampled", lambda report: report.is_sampled, by_category),
)
UNTIL_THEN = Place("README.md", "bench", _is_greedy_story, markdown.table)
"""In the README until there is a report of a general model."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the tables of measurements from the newest reports.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 where it would change")
    args = parser.parse_args()
    given = {place.page: (ROOT / place.page).read_text(encoding="utf-8") for place in PLACES}
    wanted = updated(given, whole_reports())
    stale = [page for page in given if wanted[page] != given[page]]
    if args.check and stale:
        print(f"Not up to date: {', '.join(stale)}; run: python scripts/readme_bench.py", file=sys.stderr)
        return 1
    for page in stale:
        (ROOT / page).write_text(wanted[page], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
