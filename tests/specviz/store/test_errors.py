"""What a database's error means: a sentence, and whether the same write may succeed in a minute."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from sqlalchemy.exc import DatabaseError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from specviz.store.errors import is_passing, sentence


def of_sqlite(code: int, kind: type[Exception] = sqlite3.OperationalError) -> BaseException:
    origin = kind("as SQLite says it")
    origin.sqlite_errorcode = code  # type: ignore[attr-defined]
    return OperationalError("INSERT", {}, origin)


def of_postgresql(state: str | None, wrapped: Any = OperationalError) -> BaseException:
    origin = Exception("as the server says it")
    origin.sqlstate = state  # type: ignore[attr-defined]
    return wrapped("INSERT", {}, origin)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("error", "passes", "said"),
    [
        (of_sqlite(sqlite3.SQLITE_BUSY), True, "is locked"),
        (of_sqlite(sqlite3.SQLITE_BUSY | 2 << 8), True, "is locked"),
        (of_sqlite(sqlite3.SQLITE_FULL), True, "disk of it is full"),
        (of_sqlite(sqlite3.SQLITE_READONLY), True, "read-only"),
        (of_sqlite(sqlite3.SQLITE_IOERR), True, "cannot be read or written"),
        (of_sqlite(sqlite3.SQLITE_NOMEM), True, "could not do"),
        (of_sqlite(sqlite3.SQLITE_INTERRUPT), True, "took too long"),
        (of_sqlite(sqlite3.SQLITE_CORRUPT, sqlite3.DatabaseError), False, "is damaged"),
        (of_sqlite(sqlite3.SQLITE_NOTADB, sqlite3.DatabaseError), False, "is not a database"),
        (of_sqlite(sqlite3.SQLITE_ERROR), False, "could not do"),
        (of_postgresql(None), True, "cannot be reached"),
        (of_postgresql("08006"), True, "cannot be reached"),
        (of_postgresql("57P01"), True, "cannot be reached"),
        (of_postgresql("40001"), True, "could not do"),
        (of_postgresql("53100"), True, "disk of it is full"),
        (of_postgresql("53300"), True, "no connection free"),
        (of_postgresql("25006"), True, "read-only now"),
        (of_postgresql("57014"), True, "took too long"),
        (of_postgresql("54000"), False, "could not do"),
        (of_postgresql("28P01"), False, "does not let this user"),
        (of_postgresql("3D000"), False, "There is no it"),
        (of_postgresql("42501", ProgrammingError), False, "does not let this user"),
        (of_postgresql("42P01", ProgrammingError), False, "could not do"),
        (of_postgresql("22003", DatabaseError), False, "could not do"),
        (PoolTimeout("QueuePool limit of size 5"), True, "is busy"),
        (ValueError("x"), False, "could not do"),
    ],
)
def test_passing_faults_are_told_from_lasting_ones(error: BaseException, passes: bool, said: str) -> None:
    assert is_passing(error) is passes
    told = sentence(error, "it")
    assert said in told
    assert "says it" not in told, "the database's own words may hold anything"
