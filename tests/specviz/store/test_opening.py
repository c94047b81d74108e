"""A database that cannot be used is left as it is, and a sentence says why."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stored import save, session

from specviz import store as doorway
from specviz.store import Store, StoreError, location, open_store


@contextlib.contextmanager
def _as_nobody() -> Iterator[Path]:
    """A folder of an unprivileged user, who we are meanwhile; root may write everything."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        if is_root:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            Path(name).chmod(0o700)
            if is_root:
                os.seteuid(0)


def _refusal(url_or_path: str | Path) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(url_or_path)
    message = str(caught.value)
    assert message.count("\n") == 0
    assert message.endswith(".")
    if isinstance(url_or_path, Path):
        assert str(url_or_path.parent) not in message
    return message


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Space, and the folder of its storage, which is not made yet."""
    monkeypatch.delenv("SPECVIZ_DB", raising=False)
    monkeypatch.setenv("SPACE_ID", "someone/specviz")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(location, "SPACE_STORAGE", tmp_path / "storage")
    monkeypatch.setattr(location.os.path, "ismount", lambda folder: str(folder) == str(tmp_path / "storage"))
    return tmp_path / "storage"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_a_read_only_file_or_folder_is_refused(store: Store) -> None:
    with _as_nobody() as folder:
        file = folder / "mine.db"
        open_store(file).close()
        before = file.read_bytes()
        file.chmod(0o400)
        assert _refusal(file).startswith("mine.db or its folder is read-only. Make both writable")
        file.chmod(0o600)
        folder.chmod(0o500)
        assert "written" in _refusal(folder / "new.db") or "read-only" in _refusal(folder / "new.db")
        assert "The folder of x.db cannot be made (permission denied)" in _refusal(folder / "deeper" / "x.db")
        assert file.read_bytes() == before


def test_a_database_opened_read_only_by_its_url_is_refused(path: Path) -> None:
    open_store(path).close()
    assert "runs.db or its folder is read-only" in _refusal(f"sqlite:///file:{path}?mode=ro&uri=true")


@pytest.mark.parametrize("content", [b"not a database, but long enough to look at" * 100, b"short"])
def test_a_corrupt_file_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert _refusal(path) == (
        "runs.db is not a database. It was left as it is: move it away, "
        "or choose another database with --db or SPECVIZ_DB."
    )
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == ["runs.db"]


def test_damage_found_while_reading_is_said(path: Path) -> None:
    with open_store(path) as store:
        for number in range(30):
            save(store, session(f"run{number}"))
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"runs\.db is damaged"), open_store(path) as store:
        store.list_runs()


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert "cannot be opened: it is a folder" in _refusal(tmp_path)


def test_a_locked_database_is_refused_when_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specviz.store.database.BUSY_TIMEOUT_S", 0.01)
    open_store(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "runs.db is locked" in _refusal(path)


@pytest.mark.parametrize(
    "url", ["mysql://me:secret@host/runs", "sqlite+nothing:///x.db", "postgresql+nothing://u:secret@h/d"]
)
def test_an_unknown_scheme_is_refused_without_telling_the_password(url: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert "secret" not in _refusal(url)


def test_the_known_schemes_are_listed() -> None:
    assert _refusal("mysql://x/y") == "Unknown database scheme 'mysql'; there are: postgresql, sqlite."


def test_a_postgresql_url_gets_a_name_without_secrets() -> None:
    found = location.locate("postgres://me:secret@db.example/team")
    assert (found.url.get_backend_name(), found.name) == ("postgresql", "PostgreSQL database 'team'")
    assert not found.is_sqlite
    refusal = _refusal("postgresql://me:secret@127.0.0.1:9/team")  # no driver, or no server
    assert "team" in refusal
    assert "secret" not in refusal


def test_the_place_is_the_argument_then_the_environment_then_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("SPECVIZ_DB", raising=False)
    with open_store() as store:
        assert store.name == "specviz.db"
    folder = tmp_path / "data" / "specviz"
    assert (folder / "specviz.db").exists()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    monkeypatch.setenv("SPECVIZ_DB", str(tmp_path / "a" / "b" / "env.db"))
    with open_store() as store:
        assert store.name == "env.db"
    with open_store(f"sqlite:///{tmp_path}/c/url.db") as store:
        assert store.name == "url.db"
    assert (tmp_path / "a" / "b" / "env.db").exists()
    assert (tmp_path / "c" / "url.db").exists()


def test_a_relative_data_home_is_ignored_and_the_home_folder_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path in location.data_folder().parents


@pytest.mark.parametrize("given_name", [":memory:", "sqlite://", "sqlite:///:memory:"])
def test_a_store_in_memory_works_between_threads_and_keeps_nothing(given_name: str) -> None:
    with open_store(given_name) as store, open_store(given_name) as other:
        save(store, session())
        assert store.events("a") == session()
        assert other.list_runs() == []
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(store.count_runs()))
        thread.start()
        thread.join()
        assert answers == [1]


def test_the_doorway_names_what_it_gives() -> None:
    assert set(doorway.__all__) <= set(dir(doorway))


def test_a_space_keeps_its_runs_on_its_own_storage(space: Path) -> None:
    space.mkdir()
    with open_store() as store:
        assert store.kept == "specviz.db"
        assert store.folder("bench") == space / "specviz-bench"
    assert (space / "specviz.db").exists()
    assert location.folder_beside(location.locate("postgres://h/d").url, "bench") == space / "bench"


def test_a_space_without_storage_says_that_its_runs_are_lost(space: Path, tmp_path: Path) -> None:
    with open_store() as store:
        assert store.kept == "specviz.db, until this Space restarts"
    assert (tmp_path / "home" / "specviz" / "specviz.db").exists()


def test_a_folder_of_the_spaces_own_disk_is_no_storage(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space.mkdir()
    monkeypatch.setattr(location.os.path, "ismount", lambda folder: str(folder) == "/")
    assert location.locate(space / "specviz.db").lasts_until == "this Space restarts"
    assert location.locate(f"sqlite:///file:{space}/specviz.db?uri=true").lasts_until == "this Space restarts"
    assert location.locate("postgres://h/d").lasts_until == ""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_a_storage_that_may_not_be_written_is_passed_over(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _as_nobody() as folder:
        folder.chmod(0o500)
        monkeypatch.setattr(location, "SPACE_STORAGE", folder)
        assert location.data_folder() != folder
        folder.chmod(0o700)
        assert location.data_folder() == folder


def test_elsewhere_a_file_lasts_and_memory_does_not(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setattr(location, "SPACE_STORAGE", path.parent)
    assert location.data_folder() != path.parent
    with open_store(path) as store, open_store(":memory:") as gone:
        assert (store.kept, gone.kept) == ("runs.db", "memory, until the program ends")
