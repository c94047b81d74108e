"""How far a benchmark is."""

from __future__ import annotations

from typing import Any

import pytest

from specviz.bench import Progress


@pytest.mark.parametrize("phase", ["idle", "waiting", "preparing", "running", "stopped", "finished", "failed"])
def test_only_what_waits_or_runs_goes_on(phase: Any) -> None:
    assert Progress(phase=phase).is_going_on == (phase in ("waiting", "preparing", "running"))
