"""Puts known faults into a copy of the program, one at a time, and says which of them the tests notice.

    python scripts/put_faults_in.py --copy /tmp/faults              # all of scripts/faults.toml: up to two hours
    python scripts/put_faults_in.py --copy /tmp/faults --only tree  # those whose place, kind or sentence has "tree"
    python scripts/put_faults_in.py --check                         # only whether each fault still fits its place

A fault is a place that a careful engineer could have got wrong: `file`, the text that stands there once (`old`), what
he might have written instead (`new`), its kind, a sentence, and the tests that should fail with it (arguments of
pytest). The real files are never touched: the tree's files are copied, and each fault is put into the copy and taken
out again. A copy that is kept (`--copy`, for one run at a time) spares compiling the loops anew at the next start. A
fault counts as noticed only where its tests ran and one failed; tests that could not be collected and a time limit are
told apart in the table. Faults of the page's scripts need CHROMIUM, as `make test` sets it. Exit status 1 where a
fault was not noticed or no longer fits.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAULTS = Path(__file__).with_name("faults.toml")
LIMIT_S = 240
HEAVY = ["torch", "transformers", "numba", "gradio", "plotly.graph_objects", "sqlalchemy"]
"""Libraries that tests import, imported once: each test run is a fork that has them already."""
OPTIONS = "-x -q --no-header -p no:cacheprovider -W ignore::pytest.PytestAssertRewriteWarning".split()
FORKS = multiprocessing.get_context("forkserver")
_ANSWERED = 100
"""Added to pytest's exit status, so that a process which died before is not taken for a test that failed."""
_ANSWERS = {_ANSWERED: "NOT NOTICED", _ANSWERED + 1: "noticed"}
"""By a process's exit status; others mean that it never came to an answer."""


@dataclass(frozen=True)
class Fault:
    """One wrong edit, and the tests that should see it."""

    file: str
    old: str
    new: str
    kind: str
    says: str
    tests: str
    origin: str = "own"
    """`findings`: one that no test noticed once; `own`: thought of later."""

    @property
    def area(self) -> str:
        """Which part of the program it is in."""
        parts = {"engine": "engine, Python", "specviz": "dashboard, Python"}
        return parts.get(self.file.split("/")[0], "scripts of the page")

    def put_into(self, text: str) -> str | None:
        """The file's text with the fault; None where its place is not there exactly once."""
        return text.replace(self.old, self.new) if text.count(self.old) == 1 else None

    def is_meant(self, pattern: str) -> bool:
        """Whether a word of the visitor's names it."""
        return any(pattern.lower() in text.lower() for text in (self.file, self.kind, self.says, self.origin))


def read_faults(pattern: str) -> list[Fault]:
    """Those that fit the pattern, in the order of the file."""
    rows = tomllib.loads(FAULTS.read_text(encoding="utf-8"))["fault"]
    return [fault for fault in (Fault(**row) for row in rows) if fault.is_meant(pattern)]


def copy_tree(folder: Path) -> None:
    """The files that git knows or would take, with their times, so that compiled loops stay valid."""
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for path in [path for path in folder.rglob("*.py") if str(path.relative_to(folder)) not in names]:
        path.unlink()
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)


@contextmanager
def put_in(fault: Fault, folder: Path) -> Iterator[bool]:
    """The copy with the fault, for a while; whether it fitted."""
    path = folder / fault.file
    faulty = fault.put_into(path.read_text(encoding="utf-8")) if path.is_file() else None
    if faulty is None:
        yield False
        return
    whole, times = path.read_bytes(), path.stat()
    path.write_text(faulty, encoding="utf-8")
    try:
        yield True
    finally:
        path.write_bytes(whole)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # by its time numba knows a file


def answer(fault: Fault, folder: Path, limit_s: float) -> str:
    """What its tests say to a fault."""
    with put_in(fault, folder) as fits:
        if not fits:
            return "does not fit"
        return run_tests(fault.tests, folder, limit_s)


def run_tests(tests: str, folder: Path, limit_s: float) -> str:
    """What these tests say to the copy as it is."""
    process = FORKS.Process(target=_test, args=(tests, str(folder)))
    process.start()
    process.join(limit_s)
    if process.is_alive():
        process.kill()
        process.join()
        return "time limit"
    return _ANSWERS.get(process.exitcode or 0, f"no answer (status {process.exitcode})")


def _test(tests: str, folder: str) -> None:
    """In a process of its own, which ends with pytest's exit status."""
    import pytest

    os.chdir(folder)
    with Path("last-output.txt").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.dont_write_bytecode = True
    sys.path[0] = folder
    sys.exit(_ANSWERED + int(pytest.main([*OPTIONS, *shlex.split(tests)])))


def shares(faults: Sequence[Fault], answers: Sequence[str]) -> str:
    """Noticed of all, by area."""
    areas = [fault.area for fault in faults]
    noticed = Counter(area for area, said in zip(areas, answers, strict=True) if said == "noticed")
    lines = ["| area | faults | noticed | share |", "| --- | --- | --- | --- |"]
    for area, number in [*Counter(areas).items(), ("all", len(areas))]:
        found = noticed[area] if area != "all" else noticed.total()
        lines.append(f"| {area} | {number} | {found} | {100 * found / number:.0f} % |")
    return "\n".join(lines)


def main() -> int:
    """Every fault that was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="a word of the place, the kind, the sentence or the origin")
    parser.add_argument("--copy", type=Path, help="where to keep the copy; else a temporary folder")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for the tests of one fault")
    parser.add_argument("--check", action="store_true", help="run nothing; only see whether each fault fits")
    parser.add_argument("--sound", action="store_true", help="run each fault's tests without it: all must pass")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    FORKS.set_forkserver_preload(HEAVY)
    faults = read_faults(given.only)
    if not faults:
        parser.error(f"no fault has {given.only!r} in its place, kind, sentence or origin")
    if given.copy is not None and given.copy.resolve().is_relative_to(ROOT):
        parser.error(f"{given.copy} lies in the tree itself; give a folder outside it")
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = given.copy or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        copy_tree(folder)
        if given.sound:
            return int(any(_told(tests, folder, given.limit) for tests in dict.fromkeys(f.tests for f in faults)))
        answers = []
        for fault in faults:
            began = time.monotonic()
            fits = fault.put_into((folder / fault.file).read_text(encoding="utf-8")) is not None
            said = ("fits" if fits else "does not fit") if given.check else answer(fault, folder, given.limit)
            answers.append(said)
            seconds = time.monotonic() - began
            print(f"| {said} | {fault.file} | {fault.kind} | {fault.says} | {seconds:.0f} s |", flush=True)
    if given.check:
        return int(any(said != "fits" for said in answers))
    print(f"\n{shares(faults, answers)}")
    return int(any(said != "noticed" for said in answers))


def _told(tests: str, folder: Path, limit_s: float) -> bool:
    """Whether tests fail that should pass."""
    said = run_tests(tests, folder, limit_s)
    print(f"| {'passed' if said == 'NOT NOTICED' else said} | {tests} |", flush=True)
    return said != "NOT NOTICED"


if __name__ == "__main__":
    sys.exit(main())
