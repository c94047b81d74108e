"""A few wrong inputs for everything that reads foreign ones; tests/trials/fuzz.py has as many as there is time for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz.store import open_store
from tests.fuzzing import Readers, tried

TARGETS = ("import", "list", "export", "report", "address", "page", "form", "api", "suite", "checkpoint")


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    with open_store(":memory:") as store:
        yield Readers(store, Path(tmp_path_factory.mktemp("fuzz")))


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_comes_is_taken_or_refused_with_a_sentence(name: str, readers: Readers) -> None:
    @settings(max_examples=20)
    @given(st.randoms(use_true_random=False))
    def trial(chance: random.Random) -> None:
        tried(readers.targets[name], chance)

    trial()


def test_every_reader_is_tried(readers: Readers) -> None:
    assert set(TARGETS) == set(readers.targets)
