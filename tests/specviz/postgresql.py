"""A PostgreSQL server for tests: of the binaries that are installed, in a folder of its own, reached by a socket only.

Its locale is a language's, not the plain order of bytes: what depends on the order of texts shows itself. A test gets a
database of its own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy

USER = "specviz"
PLACES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin")
LOCALE = ("-E", "UTF8", "--locale-provider=icu", "--icu-locale=en-US")
_NUMBERS = itertools.count()


def missing() -> str:
    """Why there is no server to be had, in a sentence; empty where there is one."""
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed: pip install -r requirements-dev.txt."
    if _binaries() is None:
        return "No PostgreSQL server is installed: apt-get install postgresql."
    return ""


def _binaries() -> Path | None:
    named = shutil.which("initdb")
    places = [Path(named).resolve().parent] if named else []
    for pattern in PLACES:
        places += sorted(Path("/").glob(pattern), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A running server; its URL but for the database's name. An ordinary user runs it, as PostgreSQL wants."""
    binaries = _binaries()
    assert binaries is not None
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as name:  # a socket's path must be short
        folder, who = Path(name), ({"user": "nobody"} if is_root else {})
        if is_root:
            shutil.chown(folder, "nobody")

        def run(program: str, *arguments: str) -> None:
            command = [str(binaries / program), *arguments]
            quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "cwd": folder, "env": {"PATH": "/usr/bin:/bin"}}
            subprocess.run(command, check=True, **quiet, **who)

        data = str(folder / "data")
        run("initdb", "-D", data, "-U", USER, "-A", "trust", "-N", *LOCALE)
        settings = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c max_connections=60"
        run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", settings, "start")
        try:
            yield f"postgresql+psycopg://{USER}@/{{}}?host={folder}"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")


def make_database(url: str) -> str:
    """The URL of a new database."""
    name = f"test{next(_NUMBERS)}"
    _do(url.format("postgres"), f"CREATE DATABASE {name}")
    return url.format(name)


def clear(url: str) -> None:
    """Take all runs out of a database."""
    _do(url, "TRUNCATE groups, runs, steps, tags")


def _do(url: str, statement: str) -> None:
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


if __name__ == "__main__":  # python tests/specviz/postgresql.py python scripts/many_runs.py {} --runs 1000 --measure
    with server() as served:
        where = make_database(served)
        sys.exit(subprocess.call([part.replace("{}", where) for part in sys.argv[1:]]))
