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
from sqlalchemy.exc import TimeoutError as PoolTimeout

ELSEWHERE = "choose another database with --db or SPECVIZ_DB"

DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error)
"""A connection's first statements fail with the driver's own errors, all later ones with SQLAlchemy's."""

_SLOW = "{name} took too long over that question. Ask for less, such as some days or one method."
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
    sqlite3.SQLITE_INTERRUPT: _SLOW,
}
_PASSING_SQLITE = {*_SQLITE, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL} - {
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CORRUPT,
}
_UNREACHABLE = f"{{name}} cannot be reached. Check that its server runs and lets you in, or {ELSEWHERE}."
_REFUSED = f"{{name}} does not let this user do that. Check user, password and rights, or {ELSEWHERE}."
_READ_ONLY = "25006"
_POSTGRESQL = {
    "08": _UNREACHABLE,
    "28": _REFUSED,
    "42501": _REFUSED,
    "3D000": f"There is no {{name}} on that server. Make it there, or {ELSEWHERE}.",
    "53100": f"The disk of {{name}} is full. Free some space, or {ELSEWHERE}.",
    "53300": "{name} has no connection free. Allow it more, or try again in a minute.",
    "57014": _SLOW,
    "57": _UNREACHABLE,
    _READ_ONLY: f"{{name}} is read-only now. Make it writable, or {ELSEWHERE}.",
}
_PASSING_CLASSES = {"08", "40", "53", "55", "57"}
"""Connection, rollback, resources, lock, operator: what may be otherwise in a minute."""


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
    if isinstance(error, PoolTimeout):
        return f"{name} is busy: too many questions are asked at once. Try again in a minute."
    origin = error.orig if isinstance(error, DBAPIError) else error
    code, state = _code(origin), _state(origin)
    if code in _SQLITE:
        return _SQLITE[code].format(name=name)
    told = _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2])
    if told:
        return told.format(name=name)
    if not state and _is_unreachable(error):
        return _UNREACHABLE.format(name=name)
    return f"{name} could not do what was asked ({type(origin).__name__})."


def is_passing(error: BaseException) -> bool:
    """Whether the same write may succeed later: locked, disk full, read-only, server away, no connection free."""
    if isinstance(error, PoolTimeout):
        return True
    origin = error.orig if isinstance(error, DBAPIError) else error
    code, state = _code(origin), _state(origin)
    if code is not None:
        return code in _PASSING_SQLITE
    return state[:2] in _PASSING_CLASSES or state == _READ_ONLY if state else _is_unreachable(error)


def _code(origin: object) -> int | None:
    """SQLite's own: the low byte is the primary code."""
    code = getattr(origin, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _state(origin: object) -> str:
    """Of the SQL standard, as PostgreSQL gives it; empty where nobody answered."""
    return str(getattr(origin, "sqlstate", None) or "")


def _is_unreachable(error: BaseException) -> bool:
    """Of errors without a code or state."""
    is_sqlite = isinstance(getattr(error, "orig", None), sqlite3.Error)
    return isinstance(error, OperationalError | InterfaceError) and not is_sqlite
