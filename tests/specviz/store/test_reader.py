"""Questions for many runs at once."""

from __future__ import annotations

import pytest
from asking import page_of

from specviz.store import Store


def test_a_question_for_many_ids_is_put_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    page_of(store, *"abcdefg")
    store.add_tag("g", "last")
    for size in (1, 3, 7, 8):
        monkeypatch.setattr("specviz.store.reader.AT_ONCE", size)
        assert "".join(row.id for row in store.list_runs(100)) == "gfedcba"
        found = store.get_runs(["c", "nobody", "g", "a"])
        assert [(row.id, row.tags) for row in found] == [("c", ()), ("g", ("last",)), ("a", ())]
