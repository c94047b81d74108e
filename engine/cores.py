"""How many cores this process may use: what it was given, never what the host has.

Imports the standard library alone, so that it can be asked before torch starts.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

_QUOTAS = (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))


@functools.cache
def usable_cores() -> int:
    """The least of the process's affinity, its control group's quota and `CPU_CORES`; at least 1."""
    limits = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    limits += [quota for quota in (_quota(), _stated()) if quota is not None]
    return max(1, min(limits))


def _quota(files: tuple[Path, Path] = _QUOTAS) -> int | None:
    """Whole cores that the control group's share of time amounts to; None where there is no limit."""
    try:
        if files[0].is_file():
            share, period = files[0].read_text().split()
        else:
            share, period = files[1].read_text(), files[1].with_name("cpu.cfs_period_us").read_text()
        return None if share == "max" or int(share) <= 0 else max(1, int(share) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _stated() -> int | None:
    """`CPU_CORES`, as hosts of containers set it."""
    try:
        return max(1, int(float(os.environ.get("CPU_CORES", ""))))
    except (ValueError, OverflowError):
        return None
