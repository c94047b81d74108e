"""What the tests of pages share."""

from __future__ import annotations

import pytest
from stored import save, session

from specviz.pages.saved import SavedRuns
from specviz.showing.channel import Streams
from specviz.store import Store


@pytest.fixture
def page(store: Store) -> SavedRuns:
    """The Sessions view over a run of 11 ns and a plain one of 77 beside it."""
    save(store, session("plain", method="plain"))
    save(store, session("fast", decode_ns=11))
    store.set_baseline("fast", "plain")
    assert store.flush()
    return SavedRuns(store, Streams())
