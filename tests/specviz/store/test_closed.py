"""A closed copy: whole, read back into an empty database alone, made at the end and whenever something is new."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from stored import copy_of

from specviz.store import StoreError, copied_to, open_store
from specviz.store.closed import NAME, Copier


def test_runs_outlive_the_machine_that_made_them(tmp_path: Path) -> None:
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    with copied_to(bucket, tmp_path / "first.db") as num_back, open_store(tmp_path / "first.db") as store:
        assert num_back == 0
        store.add_copies([copy_of("a"), copy_of("b")])
    assert [file.name for file in bucket.iterdir()] == [NAME]
    with copied_to(bucket, tmp_path / "second.db") as num_back, open_store(tmp_path / "second.db") as store:
        assert (num_back, store.get_run("a").id) == (2, "a")
        store.delete_run("a")
    with copied_to(bucket, tmp_path / "second.db") as num_back, open_store(tmp_path / "second.db") as store:
        assert (num_back, [run.id for run in store.list_runs(9)]) == (0, ["b"]), "what is there is not touched"


def test_a_copy_is_made_while_the_program_runs_and_only_of_what_is_new(tmp_path: Path) -> None:
    file, copier = tmp_path / NAME, Copier(tmp_path / NAME, tmp_path / "runs.db")
    with open_store(tmp_path / "runs.db") as store:
        assert (copier.copy(), copier.copy()) == (True, False)
        store.add_copies([copy_of("a")])
        assert copier.copy()
        before = file.read_bytes()
        with copied_to(tmp_path, tmp_path / "runs.db", every_s=0.01):
            store.add_copies([copy_of("b")])
            until = time.monotonic() + 60
            while file.read_bytes() == before and time.monotonic() < until:
                threading.Event().wait(0.01)
            assert file.read_bytes() != before


@pytest.mark.parametrize("what", ["no folder", "no database", "memory"])
def test_what_cannot_be_kept_or_read_back_is_said_at_the_start(what: str, tmp_path: Path) -> None:
    bucket = tmp_path / "bucket"
    if what == "no database":
        bucket.mkdir()
        (bucket / NAME).write_bytes(b"nothing" * 1_000)
    database = ":memory:" if what == "memory" else tmp_path / "runs.db"
    with pytest.raises(StoreError), copied_to(bucket, database):
        pass
