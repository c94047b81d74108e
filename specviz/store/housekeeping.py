"""What is done to a store beside its runs: the dead are found, what was deleted or is too old goes for good.

At opening, and while the program runs: each minute and each hour, by a thread of its own, through the writer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select, text

from specviz.store import owner
from specviz.store.models import GROUPS, RUNS, STEPS
from specviz.store.tally import INTERRUPTED

KEPT_DELETED = timedelta(days=1)
"""How long a deletion can be undone."""
EVERY_S = 60.0
TIDY_EVERY = 60
"""Looks for the dead between two tidyings."""
BATCH = 200
"""Runs that are deleted in one transaction: others want to write too."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retention:
    """What is kept of runs; None keeps all."""

    days: float | None = None
    """Since they were added."""
    most_bytes: int | None = None
    """Of all that the database holds; the oldest go first."""


def interrupt_dead_runs(connection: Connection) -> int:
    """Mark runs whose process has died; how many there were. Their counts are those of the stored events."""
    # In two questions: the first is answered from the index, whatever the number of runs.
    running = list(connection.scalars(select(RUNS.c.id).where(RUNS.c.status == "running")))
    asked = select(RUNS.c.id, RUNS.c.owner, RUNS.c.heartbeat_at).where(RUNS.c.id.in_(running))
    dead = [row.id for row in connection.execute(asked) if not owner.is_alive(row.owner, row.heartbeat_at)]
    # Also where there are none: SQLite tells a read-only file at the first statement that could write.
    mark = RUNS.update().where(RUNS.c.id.in_(dead), RUNS.c.status == "running")
    connection.execute(mark.values(status="interrupted", message=INTERRUPTED))
    for run_id in dead:
        _log.warning("run %s: its process has died; it is marked as interrupted", run_id)
    return len(dead)


def purge(connection: Connection) -> None:
    """Delete for good what was deleted longer than KEPT_DELETED ago, and groups of which nothing is left."""
    before = (datetime.now(UTC) - KEPT_DELETED).isoformat(timespec="microseconds")
    connection.execute(RUNS.delete().where(RUNS.c.deleted_at > "", RUNS.c.deleted_at < before))
    filled = select(RUNS.c.group_id).where(RUNS.c.group_id.is_not(None))
    connection.execute(GROUPS.delete().where(GROUPS.c.created_at < before, GROUPS.c.id.not_in(filled)))


def forget(connection: Connection, kept: Retention) -> int:
    """Delete for good some of the oldest runs that are too old or too much; how many. 0 where all may stay."""
    oldest = select(RUNS.c.id).where(RUNS.c.status != "running").order_by(RUNS.c.added_at, RUNS.c.id).limit(BATCH)
    if kept.most_bytes is None or size(connection) <= kept.most_bytes:
        if kept.days is None:
            return 0
        before = (datetime.now(UTC) - timedelta(days=kept.days)).isoformat(timespec="microseconds")
        oldest = oldest.where(RUNS.c.added_at < before)
    ids = list(connection.scalars(oldest))
    connection.execute(RUNS.delete().where(RUNS.c.id.in_(ids)))
    return len(ids)


def size(connection: Connection) -> int:
    """Bytes of what is stored, in pages that are used; on PostgreSQL of all events, which are nearly all of it."""
    if connection.dialect.name == "sqlite":
        pages, free, page_size = (
            connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * page_size)
    return int(connection.scalar(select(func.coalesce(func.sum(func.pg_column_size(STEPS.c.payload)), 0))) or 0)


class Housekeeper:
    """The thread. `look` is called each minute, `tidy` each hour; what they raise is logged and tried again later."""

    def __init__(self, look: Callable[[], object], tidy: Callable[[], object]) -> None:
        self._look, self._tidy = look, tidy
        self._has_closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="store-housekeeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._has_closed.set()
        self._thread.join()

    def _work(self) -> None:
        num_looks = 0
        while not self._has_closed.wait(EVERY_S):
            num_looks += 1
            for act in (self._look, self._tidy) if num_looks % TIDY_EVERY == 0 else (self._look,):
                try:
                    act()
                except Exception as error:  # noqa: BLE001 - whatever it is, the next minute is another one
                    _log.warning("housekeeping: %s", error)
