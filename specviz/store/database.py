"""An open database: connected, set up and of this program's schema.

SQLite runs in WAL mode, so readers never wait for the writer; `synchronous` NORMAL loses nothing when
the process is killed. Each transaction begins explicitly, so that a failed migration leaves no trace.
A database that cannot be used is left exactly as it was, and StoreError says why.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import NoSuchModuleError

from specviz.store import schema
from specviz.store.errors import DATABASE_ERRORS, StoreError, sentence
from specviz.store.location import Location

BUSY_TIMEOUT_S = 5.0
_LOOK_AGAIN_S = 0.02


class Database:
    """Connections to one database. `name` is fit to be shown; `lasts_until` is what ends it, empty for nothing."""

    def __init__(self, engine: Engine, name: str, lasts_until: str = "") -> None:
        self.engine = engine
        self.name = name
        self.lasts_until = lasts_until
        self._write_engine = engine.execution_options(is_writing=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in a transaction of its own. The database's errors become StoreError."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except DATABASE_ERRORS as error:
            raise StoreError(sentence(error, self.name)) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """The same to write, all or nothing. The database's errors come as they are: see errors.is_passing."""
        with self._write_engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def open_database(location: Location) -> Database:
    """Connect, set up and migrate. Raises StoreError."""
    database = Database(_engine(location), location.name, location.lasts_until)
    try:
        if location.is_sqlite:
            with contextlib.closing(database.engine.raw_connection()) as connection:
                _turn_to_wal(connection.cursor())
        schema.migrate(database.writing, location.name)
    except DATABASE_ERRORS as error:
        database.close()
        raise StoreError(sentence(error, location.name)) from error
    except BaseException:
        database.close()
        raise
    return database


def _turn_to_wal(cursor: Any) -> None:
    """Begin to write ahead; where others open the same new file, SQLite says *locked* at once and waits for nobody."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_AGAIN_S)


def _engine(location: Location) -> Engine:
    try:
        if not location.is_sqlite:
            return sqlalchemy.create_engine(location.url, pool_pre_ping=True)
        engine = sqlalchemy.create_engine(location.url, connect_args={"timeout": BUSY_TIMEOUT_S})
    except ImportError as error:
        raise StoreError(f"{location.name} needs a driver: pip install 'psycopg[binary]'.") from error
    except (NoSuchModuleError, TypeError, ValueError) as error:
        raise StoreError(f"{location.name} cannot be opened with this URL's driver or options.") from error
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # sqlite3 begins no transaction behind our back: see _begin
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin(connection: Connection) -> None:
    # A writer takes the lock at once: a read lock that must grow fails without waiting.
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")
