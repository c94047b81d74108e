"""A write-ahead log only where the file system can keep one, and what the database answers is heard."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stored import save, session

from specviz.store import database, journal, open_store


def mounts(*pairs: tuple[str, str]) -> Any:
    return lambda all: [SimpleNamespace(mountpoint=place, fstype=kind) for place, kind in pairs]


def test_the_innermost_mount_tells_the_file_system() -> None:
    found = mounts(("/", "ext4"), ("/data", "nfs4"), ("/data/near", "xfs"), ("/dat", "tmpfs"))
    told = [journal.file_system(Path(path), found) for path in ("/a.db", "/data/a.db", "/data/near/a.db", "/dat/a")]
    assert told == ["ext4", "nfs4", "xfs", "tmpfs"]
    assert journal.file_system(Path("/a.db"), mounts()) == ""


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        *((kind, "wal") for kind in ("ext4", "overlay", "tmpfs", "apfs", "fuseblk", "")),
        *((kind, "delete") for kind in ("nfs", "NFS4", "cifs", "9p", "virtiofs", "fuse.gcsfuse", "macfuse")),
    ],
)
def test_network_and_foreign_file_systems_get_no_log(kind: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPECVIZ_DB_JOURNAL", raising=False)
    monkeypatch.setattr(journal, "file_system", lambda file: kind)
    assert journal.journal_of(Path("a.db")) == (wanted, f"its file system is {kind}" if wanted == "delete" else "")


def test_a_database_without_a_log_works_and_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(path).close()
    monkeypatch.setattr(journal, "file_system", lambda file: "nfs4")
    with open_store(path) as store:
        save(store, session())
        assert store.kept == "runs.db (no write-ahead log: its file system is nfs4)"
        with store._database.reading() as connection:
            asked = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert asked == ["delete", 2]
    monkeypatch.setenv("SPECVIZ_DB_JOURNAL", "wal")
    with open_store(path) as store:
        assert (store.kept, store.events("a")) == ("runs.db", session())


def test_an_answer_that_was_not_asked_for_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_ask_until", lambda cursor, statement: "memory")
    with open_store(path) as store:
        assert store.kept == "runs.db (no write-ahead log: SQLite answered memory)"
