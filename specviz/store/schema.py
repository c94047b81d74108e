"""Which schema a database has, and the way to this program's: Alembic, with no alembic.ini."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from specviz.store.errors import ELSEWHERE, StoreError
from specviz.store.models import Base

_FOLDER = Path(__file__).parent / "migrations"
_LOCK_ID = 0x5EC1  # any number, the same in each process


def config() -> Config:
    """Alembic's settings for this folder of migrations."""
    made = Config()
    made.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))  # % has a meaning in an ini file
    return made


def migrate(writing: Callable[[], AbstractContextManager[Connection]], name: str) -> None:
    """Bring the database called `name` to the newest schema, in one transaction.

    Raises StoreError for a schema that is newer than this program, or tables of another program.
    """
    settings = config()
    with writing() as connection:
        if connection.dialect.name == "postgresql":  # SQLite's transaction is already exclusive
            connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_LOCK_ID)))
        if _is_older(connection, ScriptDirectory.from_config(settings), name):
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")


def _is_older(connection: Connection, scripts: ScriptDirectory, name: str) -> bool:
    current = MigrationContext.configure(connection).get_current_heads()
    known = {script.revision for script in scripts.walk_revisions()}
    unknown = sorted(set(current) - known)
    if unknown:
        raise StoreError(
            f"{name} was written by a newer SpecViz (schema {unknown[0][:40]}; this one knows up to "
            f"{scripts.get_current_head()}). Update SpecViz, or {ELSEWHERE}."
        )
    if not current:
        _refuse_strangers(connection, name)
    return set(current) != set(scripts.get_heads())


def _refuse_strangers(connection: Connection, name: str) -> None:
    taken = sorted(set(sqlalchemy.inspect(connection).get_table_names()) & set(Base.metadata.tables))
    if taken:
        raise StoreError(f"{name} belongs to another program: its table {taken[0]} is not ours. Please {ELSEWHERE}.")
