"""What the tests of the store share. Those of ON_BOTH run on SQLite and, where a server can be had, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from pathlib import Path

import postgresql
import pytest

from specviz.store import Store, open_store

ON_BOTH = {"test_store", "test_copies", "test_search", "test_reader", "test_round_trip"}
"""Files; a test of theirs that names a path or asks SQLite itself (marked `sqlite`) runs there alone."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each of these tests once for each database."""
    if "database" in metafunc.fixturenames:
        metafunc.parametrize("database", _kinds(metafunc), indirect=True)


def _kinds(metafunc: pytest.Metafunc) -> list[str]:
    name = metafunc.module.__name__.rpartition(".")[2]
    if name == "test_postgresql":
        return ["postgresql"]
    asks_sqlite = metafunc.definition.get_closest_marker("sqlite") or "path" in signature(metafunc.function).parameters
    return ["sqlite", "postgresql"] if name in ON_BOTH and not asks_sqlite else ["sqlite"]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL server of its own."""
    reason = postgresql.missing()
    if reason:
        pytest.skip(reason)
    with postgresql.server() as url:
        yield url


@pytest.fixture(scope="session")
def served(server: str) -> str:
    """A database of that server, of the newest schema."""
    url = postgresql.make_database(server)
    open_store(url).close()
    return url


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """Where an empty store may be opened."""
    if request.param == "sqlite":
        return tmp_path / "runs.db"
    url = str(request.getfixturevalue("served"))
    postgresql.clear(url)
    return url


@pytest.fixture
def store(database: str | Path) -> Iterator[Store]:
    """An empty store in a database of its own."""
    with open_store(database) as opened:
        yield opened
