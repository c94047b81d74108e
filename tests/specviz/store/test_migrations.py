"""The schema: made from nothing, equal to the models, described in the docs, and never taken from a stranger."""

from __future__ import annotations

import contextlib
import io
import re
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from specviz.store import Store, StoreError, open_store, schema
from specviz.store.database import open_database
from specviz.store.location import locate
from specviz.store.models import Base

DOCS = Path(__file__).parents[3] / "docs" / "schema.md"


def _execute(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)


def test_an_empty_database_gets_the_schema_of_the_models(path: Path) -> None:
    database = open_database(locate(path))
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    database.close()


def test_an_empty_file_is_a_new_database(path: Path) -> None:
    path.touch()
    with open_store(path) as store:
        assert store.count_runs() == 0


def test_opening_again_changes_nothing(path: Path) -> None:
    open_store(path).close()
    before = path.read_bytes()
    open_store(path).close()
    assert path.read_bytes() == before


def test_sqlite_is_set_up_for_many_readers_and_a_writer(path: Path) -> None:
    with open_store(path) as store, store._database.reading() as connection:
        names = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    assert found == ["wal", 1, 1, 5000]


def test_the_way_back_is_clean(path: Path) -> None:
    database = open_database(locate(path))
    settings = schema.config()
    with database.writing() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "base")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    database.close()
    assert tables == {"alembic_version"}


def test_stores_that_open_a_new_database_together_all_succeed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long each takes: they wait for each other, not for SQLite's patience, of which there is none here."""
    monkeypatch.setattr("specviz.store.database.BUSY_TIMEOUT_S", 0.0)
    stores: list[Store] = []
    threads = [threading.Thread(target=lambda: stores.append(open_store(path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.count_runs() for store in stores] == [0] * 4
    for store in stores:
        store.close()


def test_a_newer_schema_is_refused_and_left_as_it_is(path: Path) -> None:
    open_store(path).close()
    _execute(path, "UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        open_store(path)
    head = ScriptDirectory.from_config(schema.config()).get_current_head()
    assert str(caught.value) == (
        f"runs.db was written by a newer SpecViz (schema 9999; this one knows up to {head}). "
        "Update SpecViz, or choose another database with --db or SPECVIZ_DB."
    )
    assert path.read_bytes() == before


def test_tables_of_another_program_are_left_alone(path: Path) -> None:
    _execute(path, "CREATE TABLE runs (distance_km REAL)")
    with pytest.raises(StoreError, match=r"runs\.db belongs to another program: its table runs is not ours"):
        open_store(path)


def test_a_migration_that_fails_leaves_no_trace(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_after(*args: Any, **kwargs: Any) -> None:
        upgrade(*args, **kwargs)
        raise KeyboardInterrupt

    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", fail_after)
    with pytest.raises(KeyboardInterrupt):
        open_store(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_postgresql_gets_the_same_tables() -> None:
    settings = schema.config()
    settings.set_main_option("dialect", "postgresql")
    settings.output_buffer = io.StringIO()
    command.upgrade(settings, "head", sql=True)
    printed = settings.output_buffer.getvalue()
    for table in Base.metadata.tables:
        assert f"CREATE TABLE {table} (" in printed
    assert "BIGINT" in printed
    assert "DOUBLE PRECISION" in printed


def test_each_revision_is_numbered_and_has_a_sentence() -> None:
    scripts = list(ScriptDirectory.from_config(schema.config()).walk_revisions())
    assert [script.revision for script in reversed(scripts)] == [f"{n:04d}" for n in range(1, len(scripts) + 1)]
    assert all(script.doc.endswith(".") for script in scripts)


def test_each_column_has_its_line_in_the_docs() -> None:
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", DOCS.read_text(), re.MULTILINE | re.DOTALL))
    line = re.compile(r"^\| `(\w+)` \| \S.* \| \S.* \|$", re.MULTILINE)
    described = {table: line.findall(text) for table, text in sections.items()}
    assert described == {name: list(table.columns.keys()) for name, table in Base.metadata.tables.items()}


def test_groups_of_the_first_schema_keep_their_titles(path: Path) -> None:
    database = open_database(locate(path))
    settings = schema.config()
    with database.writing() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0001")
    database.close()
    _execute(path, "INSERT INTO groups VALUES ('g', '9999-11-21', 'comparison', 'Two methods')")
    with open_store(path) as store:
        group = store.get_group("g")
    assert (group.title, group.details) == ("Two methods", {})
