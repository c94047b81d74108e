"""What a training asks for, before it starts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from toys import stock

from engine.errors import BadInput
from engine.training import batches, demand, trainer


def test_time_is_that_of_a_batch_times_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock by which a prompt's token takes 1 s a batch and an answer's 10 s."""
    now = [0.0]

    def continued(target: object, prompts: list[list[int]], num_tokens: int, ends: object) -> None:
        now[0] += len(prompts[0]) + 10 * (num_tokens - 1)

    monkeypatch.setattr(demand, "batches", SimpleNamespace(continued=continued))
    monkeypatch.setattr(demand, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    found = demand.measured(stock("llama"), [30, 30, 60], 12, 2, 7.0)
    assert found.writing_minutes == pytest.approx((2 * 12 * 10 + 120 / 2) / 60)
    assert found.num_bytes == (120 + 3 * 12) * 64 * 2
    assert str(found).startswith("The target answers 3 prompts, about 5 minutes here")


def test_nothing_is_timed_where_all_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "continued", None)
    assert "All prompts are answered" in str(demand.measured(stock("llama"), [], 12, 2, 7.0))


def test_a_small_disk_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
    with pytest.raises(BadInput, match="free"):
        demand.tell(demand.Demand(1, 0.0, 2_000, 1.0), tmp_path)
