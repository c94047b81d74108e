"""Who writes a run, and whether that process still lives.

An owner is `host:pid:start`. The start tells a process from a later one with the same number.
"""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta

import psutil  # type: ignore[import-untyped]

HEARTBEAT_S = 5.0
SILENCE_S = 30.0
"""A run of another host is given up after so long without a heartbeat."""
_START_TOLERANCE_S = 2.0  # the system clock may be corrected a little while a process runs


def this_owner() -> str:
    """The name of this process."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def now() -> str:
    """UTC, ISO 8601, always of the same length, so that texts compare as times do."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def is_alive(owner: str, heartbeat_at: str) -> bool:
    """Whether the process `owner`, last heard of at `heartbeat_at`, can still be writing."""
    host, pid, start = _parts(owner)
    if host != socket.gethostname():
        return heartbeat_at >= (datetime.now(UTC) - timedelta(seconds=SILENCE_S)).isoformat(timespec="microseconds")
    try:
        process = psutil.Process(pid)
        is_same = bool(abs(process.create_time() - start) < _START_TOLERANCE_S)
        return is_same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False
    except psutil.Error:  # it exists, and we may not look at it
        return True


def _parts(owner: str) -> tuple[str, int, float]:
    try:
        host, pid, start = owner.rsplit(":", 2)
        return host, int(pid), float(start)
    except ValueError:
        return "", 0, 0.0
