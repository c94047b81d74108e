"""What the store raises, and what a database's error means in plain words.

    StoreError        the database cannot be opened, read or written
    ├── UnknownRun    no run has this id
    └── UnknownGroup  no group has this id

A message is one or two plain sentences, fit to be shown as it is: it holds a database's short name,
never its path, user or password.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

ELSEWHERE = "choose another database with --db or SPECVIZ_DB"

DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error)
"""A connection's first statements fail with the driver's own errors, all later ones with SQLAlchemy's."""

_SQLITE: dict[int, str] = {
    sqlite3.SQLITE_NOTADB: f"{{name}} is not a database. It was left as it is: move it away, or {ELSEWHERE}.",
    sqlite3.SQLITE_CORRUPT: f"{{name}} is damaged. It was left as it is: move it away, or {ELSEWHERE}.",
    sqlite3.SQLITE_READONLY: f"{{name}} or its folder is read-only. Make both writable, or {ELSEWHERE}.",
    sqlite3.SQLITE_PERM: f"{{name}} or its folder is read-only. Make both writable, or {ELSEWHERE}.",
    sqlite3.SQLITE_CANTOPEN: (
        f"{{name}} cannot be opened: it is a folder, or its folder cannot be written. Correct that, or {ELSEWHERE}."
    ),
    sqlite3.SQLITE_FULL: f"The disk of {{name}} is full. Free some space, or {ELSEWHERE}.",
    sqlite3.SQLITE_IOERR: f"The disk of {{name}} cannot be read or written. Check it, or {ELSEWHERE}.",
    sqlite3.SQLITE_BUSY: f"{{name}} is locked by another program. Close that program, or {ELSEWHERE}.",
    sqlite3.SQLITE_LOCKED: f"{{name}} is locked by another program. Close that program, or {ELSEWHERE}.",
}


class StoreError(Exception):
    """Root of the tree above."""


class UnknownRun(StoreError):
    """No run has this id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"There is no run {run_id[:80]!r}; it may have been deleted.")


class UnknownGroup(StoreError):
    """No group has this id."""

    def __init__(self, group_id: str) -> None:
        super().__init__(f"There is no group of runs {group_id[:80]!r}; it may have been deleted.")


def sentence(error: BaseException, name: str) -> str:
    """What `error` means for the database called `name`."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(origin, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _SQLITE:  # the low byte is the primary code
        return _SQLITE[code & 0xFF].format(name=name)
    if isinstance(error, OperationalError | InterfaceError) and not isinstance(origin, sqlite3.Error):
        return f"{name} cannot be reached. Check that its server runs and lets you in, or {ELSEWHERE}."
    return f"{name} could not do what was asked ({type(origin).__name__})."


def is_passing(error: BaseException) -> bool:
    """Whether the same write may succeed later: locked, disk full, read-only, server away."""
    return isinstance(error, OperationalError | InterfaceError | sqlite3.OperationalError)
