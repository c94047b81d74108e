"""Which database: from an argument, SPECVIZ_DB, a Space's storage or the per-user data folder to a URL.

Paths and URLs are both taken. Nothing is opened here; the folder of a file is made. A Space begins anew with each
restart: only what lies on a storage that is mounted there stays.
"""

from __future__ import annotations

import os
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from specviz.store.errors import ELSEWHERE, StoreError

MEMORY = ":memory:"
SPACE_STORAGE = Path("/data")
"""Where a Space's own storage is mounted, if it has one."""
_SCHEMES = ("sqlite", "postgresql", "postgres")


@dataclass(frozen=True)
class Location:
    """Where a database is."""

    url: URL
    name: str
    """Short, fit to be shown: no folder, host, user or password."""

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a SQLite file or memory."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for memory and for a server."""
        is_file = self.is_sqlite and self.url.query.get("vfs") != "memdb"
        return Path(str(self.url.database).removeprefix("file:")) if is_file else None

    @property
    def lasts_until(self) -> str:
        """What ends the database, in a few words; empty where nothing is known to."""
        if self.url.query.get("vfs") == "memdb":
            return "the program ends"
        is_lost = self.file is not None and _in_space() and not _is_mounted(self.file)
        return "this Space restarts" if is_lost else ""


def locate(url_or_path: str | os.PathLike[str] | None = None) -> Location:
    """The database meant by `url_or_path`, else by SPECVIZ_DB, else the one in `data_folder`.

    Raises StoreError for a URL that is none, an unknown scheme, or a folder that cannot be made.
    """
    given = os.fspath(url_or_path) if url_or_path is not None else os.environ.get("SPECVIZ_DB", "")
    if "://" in given:
        return _of_url(given)
    if given == MEMORY:
        return _memory()
    return _of_path(Path(given).expanduser() if given else data_folder() / "specviz.db")


def folder_beside(url: URL, name: str) -> Path | None:
    """Where files lie that belong to a database: `runs.db` has `runs-NAME/`. None for a database in memory.

    One on a server has them in the per-user data folder.
    """
    database = str(url.database or "")
    if url.get_backend_name() != "sqlite":
        return data_folder() / name
    return None if database.startswith("file:") else Path(database).with_name(f"{Path(database).stem}-{name}")


def _in_space() -> bool:
    return bool(os.environ.get("SPACE_ID"))


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _is_mounted(file: Path) -> bool:
    """Whether a file lies on anything but the disk that the system itself is on."""
    folders = file.absolute().parents
    return any(os.path.ismount(folder) for folder in folders[:-1])


def data_folder() -> Path:
    """The platform's folder for this user's data, for this program; a Space's storage where it may be written."""
    if _in_space() and SPACE_STORAGE.is_dir() and _is_writable(SPACE_STORAGE):
        return SPACE_STORAGE
    try:
        return _data_home() / "specviz"
    except RuntimeError as error:
        raise StoreError(f"This user has no home folder; {ELSEWHERE}.") from error


def _data_home() -> Path:
    given = Path(os.environ.get("XDG_DATA_HOME", ""))
    if given.is_absolute():  # the XDG rule: a relative one is ignored
        return given
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path.home() / ".local" / "share"


def _of_url(given: str) -> Location:
    scheme = given.split(":", 1)[0]
    if scheme.split("+")[0] not in _SCHEMES:
        raise StoreError(f"Unknown database scheme {scheme[:40]!r}; there are: postgresql, sqlite.")
    try:
        url = make_url("postgresql" + given.removeprefix("postgres") if scheme == "postgres" else given)
    except (ArgumentError, ValueError) as error:
        raise StoreError("The database URL cannot be read; wanted scheme://user:password@host/name.") from error
    if url.get_backend_name() != "sqlite":
        return Location(url, f"PostgreSQL database {url.database or 'default'!r}")
    if url.database in (None, "", MEMORY):
        return _memory()
    if not str(url.database).startswith("file:"):
        _make_folder(Path(str(url.database)))
    return Location(url, Path(str(url.database)).name)


def _of_path(path: Path) -> Location:
    _make_folder(path)
    return Location(URL.create("sqlite", database=str(path)), path.name)


def _memory() -> Location:
    # SQLite's memdb is one database for all connections of the process, with the locks of a file.
    database = f"file:/specviz-{uuid.uuid4().hex}"
    return Location(URL.create("sqlite", database=database, query={"vfs": "memdb", "uri": "true"}), "memory")


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # prompts are private
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise StoreError(f"The folder of {path.name} cannot be made ({reason}); {ELSEWHERE}.") from error
