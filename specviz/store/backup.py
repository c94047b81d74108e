"""A whole database as one SQLite file, and back: between SQLite and PostgreSQL too.

A backup is of one moment, made while others read and write; it is a database that the program opens like any other.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, bindparam, func, select

from specviz.store.database import Database, open_database
from specviz.store.errors import DATABASE_ERRORS, StoreError, sentence
from specviz.store.location import locate
from specviz.store.models import GROUPS, RUNS, STEPS, TAGS

AT_ONCE = 1_000
"""Rows that are held in memory."""


def save_backup(source: str | os.PathLike[str] | None, file: Path) -> int:
    """Write all of a database into a new file; how many runs there are. Raises StoreError."""
    if file.exists():
        raise StoreError(f"{file.name} is there already; name a file that is not.")
    part = file.with_name(f"{file.name}.part")  # half a backup never looks like a whole one
    part.unlink(missing_ok=True)
    try:
        with _opened(source) as ours, _opened(part) as theirs:
            num_runs = _copy(ours, theirs)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return num_runs


def restore_backup(file: Path, target: str | os.PathLike[str] | None) -> int:
    """Write all of a backup into a database that holds no run yet; how many there are. Raises StoreError."""
    with (
        tempfile.TemporaryDirectory() as folder,
        _opened(_copied(file, Path(folder))) as theirs,
        _opened(target) as ours,
    ):
        if num_there := _num_runs(ours):
            raise StoreError(f"{ours.name} holds {num_there:,} runs; restore into a new one, then open that.")
        return _copy(theirs, ours)


def holds_runs(target: str | os.PathLike[str] | None) -> bool:
    """Whether there are any. Raises StoreError."""
    with _opened(target) as ours:
        return _num_runs(ours) > 0


def _num_runs(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.scalar(select(func.count()).select_from(RUNS)) or 0)


def _copied(file: Path, folder: Path) -> Path:
    """A copy, since a backup of a former schema is brought up to date before it is read, and stays as it is."""
    if not file.is_file():
        raise StoreError(f"There is no file {file.name}.")
    copy = folder / file.name
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as ours,
            contextlib.closing(sqlite3.connect(copy)) as theirs,
        ):
            ours.backup(theirs)
    except sqlite3.Error as error:
        raise StoreError(sentence(error, file.name)) from error
    return copy


@contextlib.contextmanager
def _opened(where: str | os.PathLike[str] | None) -> Iterator[Database]:
    database = open_database(locate(where))
    try:
        yield database
    finally:
        database.close()


def _copy(source: Database, target: Database) -> int:
    try:
        with source.reading(limit_s=0) as ours, target.writing() as theirs:
            return _copy_tables(ours, theirs)
    except DATABASE_ERRORS as error:
        raise StoreError(sentence(error, target.name)) from error


def _copy_tables(ours: Connection, theirs: Connection) -> int:
    """Runs first without the plain runs that they are against, which may stand behind them."""
    against: list[dict[str, str]] = []
    num_runs = 0
    for table in (GROUPS, RUNS, STEPS, TAGS):
        found = ours.execution_options(yield_per=AT_ONCE).execute(select(table)).mappings()
        for part in found.partitions():
            rows = [dict(row) for row in part]
            if table is RUNS:
                num_runs += len(rows)
                linked = [row for row in rows if row["baseline_run_id"]]
                against += [{"of": row["id"], "plain": row["baseline_run_id"]} for row in linked]
                rows = [row | {"baseline_run_id": None} for row in rows]
            theirs.execute(table.insert(), rows)
    link = RUNS.update().where(RUNS.c.id == bindparam("of")).values(baseline_run_id=bindparam("plain"))
    if against:
        theirs.execute(link, against)
    return num_runs
