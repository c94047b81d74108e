"""Where a model goes: one device, several, or nowhere, with numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from model_folders import refusal

from engine.models import memory
from engine.models.placing import Wish

CUDA, GB = torch.device("cuda", 0), 10**9


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cards with 10 and 6 GB free, and 20 GB of memory."""
    free = {"cuda:0": 10 * GB, "cuda:1": 6 * GB, "cpu": 20 * GB}
    monkeypatch.setattr(memory, "free_bytes", lambda device: free[str(device)])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def wish(gigabytes: float, *, device: torch.device = CUDA, dtype: Any = torch.bfloat16, spread: bool = True) -> Wish:
    return Wish("big", device, dtype, int(gigabytes * GB), spread)


def test_what_fits_one_card_goes_there_without_a_detour(two_cards: None) -> None:
    assert wish(9.9).placed() == {"device_map": {"": "cuda:0"}}
    assert wish(9.9, device=torch.device("cpu")).placed() == {}


def test_what_is_larger_is_spread_with_room_left_for_passes(two_cards: None) -> None:
    found = wish(15).placed()
    assert found["device_map"] == "auto"
    assert found["max_memory"] == {0: int(9 * GB), 1: int(5.4 * GB), "cpu": 18 * GB}


def test_a_card_that_was_named_is_the_only_one(two_cards: None) -> None:
    message = refusal(lambda: wish(15, spread=False).placed())
    assert "The model big needs 15.0 GB on cuda:0" in message
    assert "10.0 GB are free;" in message
    assert "--dtype int8 (8.6 GB), --dtype int4" in message
    assert "smollm2-1_7b (5.5 GB)" in message
    assert "qwen3-8b" not in message


def test_what_fits_nowhere_is_refused_with_all_that_there_is(two_cards: None) -> None:
    message = refusal(lambda: wish(140).placed())
    assert "10.0 GB are free, and 32.4 GB on all devices and in memory" in message


def test_on_a_cpu_half_the_width_may_fit(two_cards: None) -> None:
    message = refusal(lambda: wish(30, device=torch.device("cpu"), dtype=torch.float32).placed())
    assert "what would fit: --dtype bf16, " in message
    assert "int8" not in message


def test_where_nothing_would_fit_others_are_asked_to_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    assert refusal(lambda: wish(30, device=torch.device("cpu")).placed()).endswith("stop what else runs there.")


def test_where_nobody_says_what_is_free_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    assert wish(1000, device=torch.device("mps")).placed() == {}
