"""Readers and the writer have connections of their own, and no question holds one for ever."""

from __future__ import annotations

import contextlib

import pytest
from sqlalchemy import text
from stored import save, session

from specviz.store import Store, StoreError
from specviz.store.database import NUM_READERS

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


def test_a_crowd_of_readers_makes_no_run_be_given_up(store: Store) -> None:
    store._database.engine.pool._timeout = 0.01  # type: ignore[attr-defined]
    with contextlib.ExitStack() as crowd:
        for _ in range(NUM_READERS):
            crowd.enter_context(store._database.reading()).execute(text("SELECT 1"))
        with pytest.raises(StoreError, match=r"runs\.db is busy: too many questions"):
            store.list_runs()
        save(store, session())
        assert store.problem is None
    assert store.events("a") == session()


def test_a_question_that_takes_too_long_is_given_up_and_the_next_one_is_not(store: Store) -> None:
    with (
        pytest.raises(StoreError, match=r"runs\.db took too long"),
        store._database.reading(limit_s=0.01) as connection,
    ):
        connection.execute(text(ENDLESS))
    with store._database.reading(limit_s=0) as connection:
        assert connection.execute(text(ENDLESS.replace("FROM n) ", "FROM n LIMIT 300000) "))).scalar() == 300_000
