"""Chimera in both its forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.drafters.heads.chimera import method
from engine.drafters.heads.chimera.method import Chimera
from engine.drafters.heads.chimera.network import TorchNetwork
from engine.target import Target
from tests.engine.drafters.heads.chimera.parts import make


@pytest.fixture(params=["compiled", "torch"])
def chimera(request: pytest.FixtureRequest, llama: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chimera:
    """In the form for small targets on a CPU, and in the one for all others."""
    if request.param == "torch":
        monkeypatch.setattr(method, "small_output", lambda loaded, tokens: None)
    found = make(llama, tmp_path)
    assert isinstance(found.network, TorchNetwork) == (request.param == "torch")
    return found
