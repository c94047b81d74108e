"""The benchmarks that are kept: a folder each, and the reports that come with the program.

    <folder>/<id>/request.json   what was asked for
    <folder>/<id>/runs.jsonl     every finished run: `engine.bench.journal`
    <folder>/<id>/report.json    the figures so far, as `python -m engine bench --json` writes them

Figures are computed anew from the runs when a report is opened, so a changed definition holds for old ones too.
An id never becomes a path before it is known to be one. Measures nothing.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.bench.report import to_rows
from engine.bench.runner import Cell
from engine.errors import BadInput
from specviz.bench.request import Asked

EXAMPLE = "example"
REPORTS = Path(__file__).resolve().parents[2] / "docs" / "bench"
OVERALL = "all"
"""The suite of all prompts together."""
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Entry:
    """One kept benchmark, for a list."""

    id: str
    title: str
    created_at: str
    """UTC, ISO 8601."""
    is_complete: bool
    num_runs: int
    """Finished ones."""


class UnknownBenchmark(BadInput):
    """No benchmark has this id."""

    def __init__(self, given: str) -> None:
        super().__init__(f"There is no benchmark {given[:80]!r}; it may have been deleted.")


class Shelf:
    """The folder. None keeps nothing after the program ends."""

    def __init__(self, folder: Path | None, reports: Path = REPORTS) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="specviz-") if folder is None else None
        self._folder = folder or Path(self._temporary.name if self._temporary else "")
        self._reports = reports

    def add(self, bench_id: str, asked: Asked, created_at: str, starter: str = "") -> None:
        """Make its folder. `starter`: the browser that asks. Raises BadInput where that cannot be."""
        self._make(bench_id)
        about = {"created_at": created_at, "asked": asked.to_dict(), "starter": starter}
        _write(self._folder / bench_id / "request.json", about)

    def starter(self, bench_id: str) -> str:
        """The browser that asked for it; empty where that is not known. Raises UnknownBenchmark."""
        return str(self._request(bench_id).get("starter", ""))

    def _make(self, bench_id: str) -> None:
        try:
            (self._folder / _checked(bench_id)).mkdir(mode=0o700, parents=True)  # prompts are private
        except OSError as error:
            raise BadInput(f"The benchmark cannot be kept: its folder cannot be made ({error.strerror}).") from error

    def take_in(self, bench_id: str, report: Mapping[str, Any], title: str) -> None:
        """Keep a report that was measured elsewhere. Raises BadInput where that cannot be."""
        self._make(bench_id)
        about = {"created_at": report["created_at"], "title": title}
        _write(self._folder / bench_id / "request.json", about)
        self.keep(bench_id, report)

    def rename(self, bench_id: str, title: str) -> None:
        """Another title for the list. Raises BadInput."""
        _write(self._folder / _checked(bench_id) / "request.json", {**self._request(bench_id), "title": title})

    def delete(self, bench_id: str) -> None:
        """Its folder and all in it; its saved runs stay in the store. Raises UnknownBenchmark."""
        self._request(bench_id)
        shutil.rmtree(self._folder / _checked(bench_id), ignore_errors=True)

    def asked(self, bench_id: str) -> Asked:
        """What was asked for. Raises UnknownBenchmark, or BadInput where it was measured elsewhere."""
        asked = self._request(bench_id).get("asked")
        if asked is None:
            raise BadInput("This report was measured elsewhere; it cannot go on here.")
        return Asked.from_dict(asked)

    def journal(self, bench_id: str) -> Path:
        """Where its runs are kept."""
        return self._folder / _checked(bench_id) / "runs.jsonl"

    def keep(self, bench_id: str, report: Mapping[str, Any]) -> None:
        """Write the figures so far. Raises BadInput where they cannot be written."""
        _write(self._folder / _checked(bench_id) / "report.json", report)

    def group(self, bench_id: str) -> str | None:
        """The store's group of its runs, once there are figures."""
        found = _read(self._folder / _checked(bench_id) / "report.json").get("group_id")
        return found if isinstance(found, str) else None

    def cells(self, bench_id: str) -> tuple[str, list[Cell]]:
        """The model, and the runs of whole rounds. Raises UnknownBenchmark."""
        report = self._report(bench_id)
        return str(report.get("model", "")), [Cell(**cell) for cell in report["cells"]]

    def open(self, bench_id: str) -> dict[str, Any]:
        """A report, its figures computed anew. Raises UnknownBenchmark."""
        return with_figures(self._report(bench_id))

    def entries(self) -> list[Entry]:
        """The visitors' own, newest first, then the example."""
        return [*sorted(self._own(), key=lambda entry: entry.created_at, reverse=True), *self._examples()]

    def _own(self) -> Iterator[Entry]:
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if not _ID.fullmatch(folder.name):
                continue
            try:
                request = self._request(folder.name)
                title = request.get("title") or Asked.from_dict(request["asked"]).title
            except (BadInput, KeyError, TypeError):
                continue  # a folder that is none of ours
            report = _read(folder / "report.json")
            is_complete, cells = bool(report.get("is_complete")), report.get("cells", [])
            yield Entry(folder.name, title, str(request["created_at"]), is_complete, len(cells))

    def _examples(self) -> Iterator[Entry]:
        if report := self._example:
            title = f"Example: {', '.join(dict.fromkeys(row['suite'] for row in report['rows']))}"
            yield Entry(EXAMPLE, title, report["created_at"], True, len(report["cells"]))

    @functools.cached_property
    def _example(self) -> dict[str, Any]:
        """The newest whole report that came with the program, greedy if there is one, of runs as recorded today.

        Empty where there is none. Read once: megabytes that do not change while the program runs.
        """
        found = [_read(path) for path in sorted(self._reports.glob("*.json"))]
        whole = [report for report in found if report.get("is_complete") and _has_cells(report)]
        return max(whole, key=lambda report: (_is_greedy(report), str(report["created_at"])), default={})

    def _report(self, bench_id: str) -> dict[str, Any]:
        is_example = bench_id == EXAMPLE
        report = self._example if is_example else _read(self._folder / _checked(bench_id) / "report.json")
        if not _has_cells(report):
            raise UnknownBenchmark(bench_id)
        return report

    def _request(self, bench_id: str) -> dict[str, Any]:
        found = _read(self._folder / _checked(bench_id) / "request.json")
        if not found:
            raise UnknownBenchmark(bench_id)
        return found


def with_figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report with its rows computed from its cells, and rows of all suites together under `overall`."""
    cells = [Cell(**cell) for cell in report["cells"]]
    together = [replace(cell, suite=OVERALL, category="") for cell in cells]
    rows, overall = ([asdict(row) for row in to_rows(found)] for found in (cells, together))
    return {**report, "rows": rows, "overall": overall}


def _is_greedy(report: Mapping[str, Any]) -> bool:
    return not report.get("config", {}).get("temperature")


def _has_cells(report: Mapping[str, Any]) -> bool:
    try:
        return bool([Cell(**cell) for cell in report["cells"]])
    except (KeyError, TypeError):
        return False


def _checked(bench_id: str) -> str:
    if not isinstance(bench_id, str) or not _ID.fullmatch(bench_id):
        raise UnknownBenchmark(str(bench_id))
    return bench_id


def _read(path: Path) -> dict[str, Any]:
    """Nothing where there is no such file, or it is no JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, values: Mapping[str, Any]) -> None:
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_text(json.dumps(values), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise BadInput(f"The benchmark cannot be kept: {path.name} cannot be written ({error.strerror}).") from error
