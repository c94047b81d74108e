"""The README's table of measurements, from the newest whole report in docs/bench.

    python scripts/readme_bench.py            rewrites the README between its bench marks
    python scripts/readme_bench.py --check    exit status 1 where the README says anything else

Newest is by `created_at`; a report of an interrupted bench is passed over.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.bench import markdown  # noqa: E402 - the script stands beside the package it uses

README = ROOT / "README.md"
REPORTS = ROOT / "docs" / "bench"
MARKED = re.compile(r"(?<=<!-- bench:start -->\n).*?(?=\n<!-- bench:end -->)", re.DOTALL)


def newest(folder: Path = REPORTS) -> Path:
    """The report that was measured last."""
    reports = {path: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    whole = [path for path, report in reports.items() if report.get("is_complete", True)]
    if not whole:
        raise SystemExit(f"{folder} holds no report; write one with: python -m engine bench --json {folder}/NAME.json")
    return max(whole, key=lambda path: reports[path]["created_at"])


def block(path: Path) -> str:
    """What stands between the marks for a report."""
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    link = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    parts = [markdown.head(report), markdown.table(report["rows"])]
    if "row_cost" in report:
        parts.append(markdown.row_cost_line(report["row_cost"]))
    parts += markdown.skipped_lines(report.get("skipped", []))
    return "\n\n".join([*parts, f"Report: [{link}]({link}), by `{report['command']}`."])


def updated(readme: str, path: Path) -> str:
    """The README with this report's block."""
    if not MARKED.search(readme):
        raise SystemExit("The README has no lines <!-- bench:start --> and <!-- bench:end --> to write between.")
    return MARKED.sub(lambda _: block(path), readme)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the README's table of measurements from the newest report.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 where it would change")
    args = parser.parse_args()
    path, given = newest(), README.read_text(encoding="utf-8")
    wanted = updated(given, path)
    if args.check and wanted != given:
        print(f"README.md does not show {path.name}; run: python scripts/readme_bench.py", file=sys.stderr)
        return 1
    if not args.check:
        README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
