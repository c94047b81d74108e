"""A target to train for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.training import runs


@pytest.fixture
def frozen(model_folder: Path) -> tuple[Any, Any]:
    return runs.load_target(str(model_folder), "cpu")
