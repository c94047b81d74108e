"""Which runs are to be listed, checked to the last one."""

from __future__ import annotations

import pytest

from engine.errors import BadInput
from specviz.showing import listing


def test_lists_of_ids_have_limits_to_the_last_one() -> None:
    names = [str(n) for n in range(listing.MAX_IDS)]
    assert listing.run_ids(names) == names
    with pytest.raises(BadInput, match="201 runs are chosen; this takes at most 200"):
        listing.run_ids([*names, "one more"])
    assert listing.run_ids(["", "a" * 300]) == ["a" * 200]
    assert len(listing.text("x" * 200, "search")) == 200
    found = [listing.parse({"is_descending": given}).is_descending for given in (False, True, None, 1)]
    assert found == [False, True, True, True]
    assert listing.parse({}).is_descending
    assert listing.parse({"page": listing.MAX_PAGE}).offset == listing.MAX_PAGE * 50
    with pytest.raises(BadInput):
        listing.parse({"page": listing.MAX_PAGE + 1})


def test_ids_are_checked_one_by_one() -> None:
    assert listing.run_ids(["a", "a", "b"]) == ["a", "b"]
    with pytest.raises(BadInput, match="no runs' ids"):
        listing.run_ids(["a", 3])
