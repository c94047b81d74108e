"""Where sessions are kept: one writer thread, many readers, SQLite by default and PostgreSQL by URL.

This is the doorway; nothing else of the folder is imported from outside.
"""

from specviz.store.backup import restore_backup, save_backup
from specviz.store.closed import copied_to
from specviz.store.copies import RunCopy
from specviz.store.errors import StoreError, UnknownGroup, UnknownRun
from specviz.store.housekeeping import Retention
from specviz.store.reader import GroupRow, Reader, RunRow
from specviz.store.search import SORTS, Conditions, Sampling, Sharing, Sort
from specviz.store.store import Store, open_store
from specviz.store.tally import Origin, RunStatus
from specviz.store.writer import RunWriter

__all__ = [
    "SORTS",
    "Conditions",
    "GroupRow",
    "Origin",
    "Reader",
    "Retention",
    "RunCopy",
    "RunRow",
    "RunStatus",
    "RunWriter",
    "Sampling",
    "Sharing",
    "Sort",
    "Store",
    "StoreError",
    "UnknownGroup",
    "UnknownRun",
    "copied_to",
    "open_store",
    "restore_backup",
    "save_backup",
]
