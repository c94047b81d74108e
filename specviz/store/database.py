"""An open database: connected, set up and of this program's schema.

Readers have connections of their own; the writer has one that nobody else takes, so that no crowd of readers can make
it wait. On SQLite a write-ahead log, where the file system can keep one, lets readers and writer pass each other;
nothing is lost when the process is killed. Each transaction begins explicitly, so that a failed migration leaves no
trace; a reader sees the database as it was when its transaction began. A database that cannot be used is left as it
was, and StoreError says why.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import NoSuchModuleError

from specviz.store import schema
from specviz.store.errors import DATABASE_ERRORS, StoreError, sentence
from specviz.store.journal import DELETE, journal_of
from specviz.store.location import Location

BUSY_TIMEOUT_S = 5.0
READING_S = 20.0
"""A question that takes longer is given up, so that no search holds a connection for ever."""
NUM_READERS = 24
_LOOK_AGAIN_S = 0.02
_LOOK_EVERY = 20_000  # of SQLite's own steps


class Database:
    """Connections to one database. `name` is fit to be shown; `lasts_until` is what ends it, empty for nothing."""

    def __init__(self, location: Location) -> None:
        self.name = location.name
        self.lasts_until = location.lasts_until
        # A reader's two questions are of one moment, which on SQLite they always are.
        moment: dict[str, Any] = {} if location.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self.engine = _engine(location, pool_size=5, max_overflow=NUM_READERS - 5, **moment)
        self.journal = ""
        """Why there is no write-ahead log, in a few words; empty where all is as usual."""
        self._write_engine = _engine(location, pool_size=1, max_overflow=0).execution_options(is_writing=True)

    @contextlib.contextmanager
    def reading(self, limit_s: float = READING_S) -> Iterator[Connection]:
        """A connection in a transaction of its own. The database's errors become StoreError.

        Each of its questions may take `limit_s`; 0 is for ever.
        """
        try:
            with self.engine.begin() as connection, _limited(connection, limit_s):
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
        self._write_engine.dispose()


def open_database(location: Location) -> Database:
    """Connect, set up and migrate. Raises StoreError."""
    database = Database(location)
    try:
        if location.file is not None:
            with contextlib.closing(database.engine.raw_connection()) as connection:
                database.journal = _set_journal(connection.cursor(), location.file)
        schema.migrate(database.writing, location.name)
    except DATABASE_ERRORS as error:
        database.close()
        raise StoreError(sentence(error, location.name)) from error
    except BaseException:
        database.close()
        raise
    return database


def _set_journal(cursor: Any, file: Path) -> str:
    """Ask for the journal that fits, and hear what became of it. Why it is not a write-ahead log, in a few words."""
    wanted, reason = journal_of(file)
    answer = _ask_until(cursor, f"PRAGMA journal_mode={wanted}")
    _set_synchronous(cursor)  # this connection was made before the file had its journal
    return reason if answer == wanted else f"SQLite answered {answer}"


def _ask_until(cursor: Any, statement: str) -> str:
    """Where others open the same new file, SQLite says *locked* at once and waits for nobody."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            return str(cursor.execute(statement).fetchone()[0])
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_AGAIN_S)


def _engine(location: Location, **options: Any) -> Engine:
    try:
        if not location.is_sqlite:
            return sqlalchemy.create_engine(location.url, pool_pre_ping=True, **options)
        engine = sqlalchemy.create_engine(location.url, connect_args={"timeout": BUSY_TIMEOUT_S}, **options)
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
    connection.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten, not only forgotten
    _set_synchronous(connection)


def _set_synchronous(connection: Any) -> None:
    """Beside a log NORMAL damages nothing, whatever happens; without one a power cut may, unless it is FULL."""
    (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
    connection.execute(f"PRAGMA synchronous={'FULL' if journal == DELETE else 'NORMAL'}")


def _begin(connection: Connection) -> None:
    # A writer takes the lock at once: a read lock that must grow fails without waiting.
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


@contextlib.contextmanager
def _limited(connection: Connection, limit_s: float) -> Iterator[None]:
    """Questions that take longer end with an error of the database's own."""
    if not limit_s:
        yield
    elif connection.dialect.name != "sqlite":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(limit_s * 1e3)}")
        yield
    else:
        driver: Any = connection.connection.driver_connection
        deadline = time.monotonic() + limit_s
        driver.set_progress_handler(lambda: time.monotonic() > deadline, _LOOK_EVERY)
        try:
            yield
        finally:
            driver.set_progress_handler(None, 0)
