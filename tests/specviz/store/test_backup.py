"""A backup holds all of one moment, opens like any database, and comes back whole."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from stored import FORMER, HOSTILE, save, session, started, stepped

from specviz.__main__ import main
from specviz.store import Store, StoreError, open_store, restore_backup, save_backup
from specviz.store.models import Base


def everything(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}")) for name in Base.metadata.tables}


@pytest.fixture
def filled(store: Store) -> Store:
    """A run that goes on, against a plain one stored behind it, in a group, tagged; and one that was deleted."""
    group = store.add_group("comparison", HOSTILE)
    store.begin(started("z", prompt=HOSTILE), group_id=group).append(stepped())
    save(store, session("plain", method="plain"))
    save(store, session("gone"))
    store.set_baseline("z", "plain")
    store.flush()
    store.add_tag("z", HOSTILE)
    store.trash(["gone"])
    return store


def test_a_backup_of_an_open_store_comes_back_whole(filled: Store, path: Path, tmp_path: Path) -> None:
    kept, again = tmp_path / "kept.db", tmp_path / "again.db"
    assert save_backup(path, kept) == 3
    assert sorted(file.name for file in tmp_path.glob("kept*")) == ["kept.db"]
    assert everything(kept) == everything(path)
    assert restore_backup(kept, again) == 3
    assert everything(again) == everything(path)
    assert restore_backup(kept, str(tmp_path / "third.db")) == 3, "a backup is read only"


def test_a_backup_of_a_former_schema_comes_back_and_stays_as_it_is(tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    with contextlib.closing(sqlite3.connect(kept)) as connection:
        connection.executescript((FORMER / "0003.sql").read_text(encoding="utf-8"))
    before = kept.read_bytes()
    assert restore_backup(kept, tmp_path / "again.db") == 1
    assert kept.read_bytes() == before
    with open_store(tmp_path / "again.db") as store:
        assert store.get_run("a" * 32).status == "finished"


def test_nothing_is_written_over(filled: Store, path: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    save_backup(path, kept)
    with pytest.raises(StoreError, match=r"kept\.db is there already"):
        save_backup(path, kept)
    before = everything(path)
    with pytest.raises(StoreError, match=r"runs\.db holds 3 runs; restore into a new one"):
        restore_backup(kept, path)
    assert everything(path) == before


@pytest.mark.parametrize("content", [None, b"not a database" * 100])
def test_what_is_no_backup_is_refused(content: bytes | None, tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    if content:
        kept.write_bytes(content)
    with pytest.raises(StoreError, match=r"There is no file kept|kept\.db is not a database"):
        restore_backup(kept, tmp_path / "again.db")


def test_half_a_backup_is_none(filled: Store, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specviz.store.backup._copy_tables", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_backup(path, tmp_path / "kept.db")
    assert list(tmp_path.glob("kept*")) == []


def test_the_commands_say_what_they_did(filled: Store, path: Path, tmp_path: Path, capsys: object) -> None:
    kept, again = str(tmp_path / "kept.db"), str(tmp_path / "again.db")
    assert [main(["backup", kept, "--db", str(path)]), main(["restore", kept, "--db", again])] == [0, 0]
    assert main(["restore", kept, "--db", again]) == 2
    told = capsys.readouterr()  # type: ignore[attr-defined]
    assert told.out == "3 runs were written to kept.db.\n3 runs were restored from kept.db.\n"
    assert told.err == "specviz: again.db holds 3 runs; restore into a new one, then open that.\n"
