"""What tests of the engine share."""

from __future__ import annotations

import pytest

from engine.drafters.heads import _layers


@pytest.fixture(params=["compiled", "torch"])
def in_either_form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks beside a small target on a CPU, compiled and by torch's layers."""
    if request.param == "torch":
        monkeypatch.setattr(_layers, "MOST_COMPILED", 0)
