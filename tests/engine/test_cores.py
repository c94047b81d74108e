"""How many cores a process was given: affinity, control group, `CPU_CORES`; what is malformed limits nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import cores


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    cores.usable_cores.cache_clear()
    yield
    cores.usable_cores.cache_clear()


def v2(folder: Path, text: str) -> tuple[Path, Path]:
    (folder / "cpu.max").write_text(text)
    return folder / "cpu.max", folder / "none"


def v1(folder: Path, quota: str, period: str = "100000\n") -> tuple[Path, Path]:
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text(period)
    return folder / "none", folder / "cpu.cfs_quota_us"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 1),
        ("50000 100000\n", 1),
        ("max 100000\n", None),
        ("400000 50000", 8),
    ],
)
def test_a_control_groups_share_is_rounded_down_to_whole_cores(tmp_path: Path, text: str, wanted: int | None) -> None:
    assert cores._quota(v2(tmp_path, text)) == wanted


@pytest.mark.parametrize(("quota", "wanted"), [("200000\n", 2), ("350000\n", 3), ("-1\n", None), ("0\n", None)])
def test_the_first_version_of_control_groups_is_read_as_well(tmp_path: Path, quota: str, wanted: int | None) -> None:
    assert cores._quota(v1(tmp_path, quota)) == wanted


@pytest.mark.parametrize("text", ["", "max", "2", "two cores", "1 2 3", "100000 0", "100000 max", "\xff 1"])
def test_a_malformed_share_limits_nothing(tmp_path: Path, text: str) -> None:
    assert cores._quota(v2(tmp_path, text)) is None


@pytest.mark.parametrize(("quota", "period"), [("200000", "0"), ("200000", ""), ("", "100000"), ("much", "100000")])
def test_a_malformed_share_of_the_first_version_limits_nothing(tmp_path: Path, quota: str, period: str) -> None:
    assert cores._quota(v1(tmp_path, quota, period)) is None


def test_no_control_group_limits_nothing(tmp_path: Path) -> None:
    assert cores._quota((tmp_path / "none", tmp_path / "nothing")) is None


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [("2", 2), ("3.7", 3), ("0.5", 1), ("0", 1), ("-4", 1), ("", None), ("many", None), ("nan", None), ("inf", None)],
)
def test_stated_cores_are_whole_and_at_least_one(
    monkeypatch: pytest.MonkeyPatch, stated: str, wanted: int | None
) -> None:
    monkeypatch.setenv("CPU_CORES", stated)
    assert cores._stated() == wanted


@pytest.mark.parametrize(
    ("affinity", "quota", "stated", "wanted"),
    [(8, None, None, 8), (8, 4, None, 4), (8, 4, 2, 2), (2, 16, 16, 2), (8, None, 3, 3)],
)
def test_the_least_of_all_limits_counts(
    monkeypatch: pytest.MonkeyPatch, affinity: int, quota: int | None, stated: int | None, wanted: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(affinity)), raising=False)
    monkeypatch.setattr(cores, "_quota", lambda: quota)
    monkeypatch.setattr(cores, "_stated", lambda: stated)
    assert cores.usable_cores() == wanted


def test_without_affinities_the_hosts_cores_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    monkeypatch.setattr(cores, "_quota", lambda: None)
    monkeypatch.setattr(cores, "_stated", lambda: None)
    assert cores.usable_cores() == 1
