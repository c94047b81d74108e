"""Changes to the benchmarks that are kept: a report taken in, a title, a deletion. In public the moderator's alone."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from engine.errors import BadInput, UnknownName
from specviz.bench import foreign
from specviz.bench.benchmarks import Benchmarks
from specviz.bench.shelf import EXAMPLE
from specviz.text import first_line

TITLE_CHARS = 120
CHANGES = ("import", "rename", "delete")


@dataclass(frozen=True)
class Keeping:
    """What a visitor may do to the shelf."""

    benchmarks: Benchmarks

    def may_change(self, token: object = "") -> bool:
        """Whether the browser with this token may."""
        return self.benchmarks.visitors.may_change(token, "")

    def change(self, do: Any, bench_id: Any, text: Any, token: object = "") -> str:
        """Which benchmark is to be open then; nothing for any. Raises BadInput."""
        if not self.may_change(token):
            raise BadInput("On a public instance the list of benchmarks is its moderator's to change.")
        if do == "import":
            self.benchmarks.visitors.policy.check_import(len(text) if isinstance(text, str) else 0)
            return self._take_in(text)
        if do not in CHANGES:
            raise UnknownName("change", str(do)[:40], CHANGES)
        if bench_id == EXAMPLE:
            raise BadInput("The example comes with SpecViz; it is neither renamed nor deleted.")
        return self._rename(str(bench_id), text) if do == "rename" else self._delete(str(bench_id))

    def _take_in(self, text: Any) -> str:
        report = foreign.read(text)
        bench_id = uuid.uuid4().hex
        suites = ", ".join(dict.fromkeys(cell["suite"] for cell in report["cells"]))
        self.benchmarks.shelf.take_in(bench_id, report, first_line(f"{suites}: {report['model']}", TITLE_CHARS))
        return bench_id

    def _rename(self, bench_id: str, text: Any) -> str:
        title = first_line(str(text or ""), TITLE_CHARS)
        if not title:
            raise BadInput("The title is empty; write what tells this benchmark from others.")
        self.benchmarks.shelf.rename(bench_id, title)
        return bench_id

    def _delete(self, bench_id: str) -> str:
        progress = self.benchmarks.progress
        if progress.is_going_on and progress.bench_id == bench_id:
            raise BadInput("This benchmark is running; stop it first.")
        self.benchmarks.shelf.delete(bench_id)
        return ""
