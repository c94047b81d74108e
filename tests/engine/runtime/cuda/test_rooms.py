"""What graphs rely on: addresses that are gone are forgotten, and rows that fill up a pass see themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.runtime.cuda.buckets import Shape
from engine.runtime.cuda.cache import Room
from engine.runtime.passes import Pass, Span


def test_what_was_captured_for_a_cache_is_forgotten_when_it_grows_and_not_before() -> None:
    """A replay would go on writing where the smaller cache had been."""
    room = Room(2, 1, 4, like=torch.zeros(1))
    room.reserve(10)
    room.graphs._captured["a pass"] = lambda: None, ()
    room.reserve(room.capacity)
    assert len(room.graphs) == 1
    room.reserve(room.capacity + 1)
    assert len(room.graphs) == 0


@pytest.mark.parametrize(("num_rows", "num_waiting", "num_committed"), [(3, 0, 0), (5, 2, 0), (9, 0, 20), (4, 0, 0)])
def test_every_row_of_a_bucket_sees_itself(num_rows: int, num_waiting: int, num_committed: int) -> None:
    """A row that saw nothing would be no number, and spread it from the cache to those that read its column."""
    mask = np.eye(num_rows, num_waiting + num_rows, num_waiting, dtype=np.bool_)
    wanted = Pass(
        inputs=list(range(num_rows)),
        span=Span(0, 2, frozenset(), 2),
        positions=range(num_rows),
        waiting=range(num_waiting),
        mask=mask,
        num_committed=num_committed,
        scored=slice(0, num_rows),
        hidden_layers=(),
    )
    shape = Shape.of(wanted)
    visible, _ = shape.told(shape.bytes_of(wanted)).visible(shape.length)
    own = num_committed + num_waiting + torch.arange(shape.num_rows)
    assert visible[torch.arange(shape.num_rows), own].all()
    assert (visible.sum(dim=1) == num_committed + 1).all()
