"""A closed copy of a database, in a folder where no database can be open: a bucket, a disk that forgets locks.

The copy is one file, written whole and renamed; where the program begins anew with an empty database it is read back.
What was written since the last copy is lost with the machine, so one is made every few minutes and at the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from specviz.store.backup import holds_runs, restore_backup, save_backup
from specviz.store.errors import StoreError
from specviz.store.location import locate

NAME = "specviz-runs.db"
EVERY_S = 300.0
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def copied_to(folder: Path, database: str | os.PathLike[str] | None, every_s: float = EVERY_S) -> Iterator[int]:
    """While a database is used: how many runs were read back into it. The last copy is made when it is closed.

    Raises StoreError where a copy is there and cannot be read, or the folder cannot be written.
    """
    where = locate(database)
    if where.is_sqlite and where.file is None:
        raise StoreError("Runs in memory are kept nowhere, so there is nothing to copy; name a file with --db.")
    num_runs = _read_back(folder / NAME, database)
    copier = Copier(folder / NAME, database)
    copier.copy()
    has_ended = threading.Event()
    thread = threading.Thread(target=_work, args=(copier, has_ended, every_s), name="store-copier", daemon=True)
    thread.start()
    try:
        yield num_runs
    finally:
        has_ended.set()
        thread.join()
        _tried(copier)


class Copier:
    """Writes the copy where something has changed."""

    def __init__(self, file: Path, database: str | os.PathLike[str] | None) -> None:
        self._file, self._database, self._last = file, database, b""

    def copy(self) -> bool:
        """Whether there was anything new. Raises StoreError."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                made = Path(folder) / NAME
                save_backup(self._database, made)
                with made.open("rb") as content:
                    digest = hashlib.file_digest(content, "sha256").digest()
                if digest == self._last:
                    return False
                part = self._file.with_name(f"{NAME}.part")
                shutil.copyfile(made, part)
                part.replace(self._file)
        except OSError as error:
            raise StoreError(f"No copy can be kept in {self._file.parent.name} ({error.strerror}).") from error
        self._last = digest
        return True


def _read_back(file: Path, database: str | os.PathLike[str] | None) -> int:
    return restore_backup(file, database) if file.is_file() and not holds_runs(database) else 0


def _work(copier: Copier, has_ended: threading.Event, every_s: float) -> None:
    while not has_ended.wait(every_s):
        _tried(copier)


def _tried(copier: Copier) -> None:
    try:
        copier.copy()
    except StoreError as error:
        _log.warning("the closed copy: %s It is tried again.", error)
