"""The GPU's passes on a CPU."""

from __future__ import annotations

import pytest
from toys.static_passes import Replays, run_static


@pytest.fixture(params=[False, True], ids=["called", "captured"])
def static(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Replays:
    """Static passes, simply called or from imitated graphs."""
    return run_static(monkeypatch, is_captured=request.param)
