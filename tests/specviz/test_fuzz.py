"""A few wrong inputs for everything that reads foreign ones; tests/trials/fuzz.py has as many as there is time for."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specviz.bench import document, foreign, shelf
from specviz.store import open_store
from tests.fuzzing import Readers, tried
from tests.right_inputs import CELL, REPORT

TARGETS = (
    "import",
    "list",
    "export",
    "report",
    "address",
    "page",
    "form",
    "api",
    "suite",
    "checkpoint",
    "published",
    "model",
)


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


def test_of_a_report_one_method_may_lack_a_category() -> None:
    """Found by the 512,163rd report."""
    cells = [
        {**CELL, "method": name, "category": kind} for name, kind in (("plain", "a"), ("aded", "a"), ("plain", "b"))
    ]
    report = shelf.with_figures(foreign.read(json.dumps({**REPORT, "cells": cells})))
    assert "–" in str(document.write(report, "md"))


def test_every_reader_is_tried(readers: Readers) -> None:
    assert set(TARGETS) == set(readers.targets)
