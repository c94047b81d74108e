"""What all tests share: no network, no time limits per example, small model folders made once."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
# Whatever is installed here; tests of the default itself take this away.
os.environ["SPECVIZ_MODEL"] = "story"
# Threads of tiny products wait for each other, and on a busy machine far longer than the products take.
# The variable is for programs that tests start; here a plugin may have loaded OpenMP before (set_num_threads below).
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from model_folders import save_model
from toys import Table, TableTarget, draft_for, tiny
from xdist.scheduler import LoadScopeScheduling

from engine import drafters, models
from engine.cores import usable_cores
from engine.drafters import Costs, calibrations
from engine.target import Target

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

MOST_WORKERS = 4
"""The browser's tests are two workers', and last as long as two others need for the rest."""
ON_THE_REAL_APP = frozenset({"api", "compare", "inspector", "playground", "stream"})
"""Files of walks on the app with the embedded model, which one worker alone starts."""


def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means: a process for each core that this one may use and two more. On one core none but this one.

    A walk waits for its page for half of its time, in which another process may have the core (docs/log.md).
    """
    num_cores = usable_cores()
    return min(num_cores + 2, MOST_WORKERS) if num_cores > 1 else 0


class SharingChromium(LoadScopeScheduling):
    """A file's tests stay together, for their fixtures; so do walks that share one Chromium and its servers."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if not path.startswith("tests/browser/"):
            return path
        name = Path(path).stem.removeprefix("test_")
        return "walks on the real app" if name in ON_THE_REAL_APP else "other walks"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SharingChromium:
    """Who runs what."""
    config.option.loadscopereorder = False  # the browser's first, since they last longest
    return SharingChromium(config, log)


FREE = Costs.known([1.0] * 129, draft=0.2)
"""Any number of rows costs as much as one: drafters take all that they may."""


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target in Hugging Face layout."""
    return save_model(tmp_path_factory.mktemp("models") / "target")


@pytest.fixture(scope="session")
def draft_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A draft model with the target's tokenizer: the target's own weights, so that it is mostly right."""
    return save_model(tmp_path_factory.mktemp("models") / "draft")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """A test's random numbers are the same whichever tests came before."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def known_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No drafter measures the machine, which takes seconds and shapes its trees otherwise each time.

    A module that is about measuring has a fixture of its own by this name.
    """
    monkeypatch.setattr(drafters, "costs_of", lambda target: FREE)


@pytest.fixture(autouse=True)
def no_calibrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found for a model on this machine is no part of a test."""
    monkeypatch.setattr(calibrations, "user_cache", lambda: Path("no such folder"))


@pytest.fixture
def table_target() -> TableTarget:
    """Five tokens, no end token."""
    return TableTarget(Table(5))


@pytest.fixture
def llama() -> Target:
    """A tiny Llama in float32."""
    return Target(tiny("llama"))


@pytest.fixture
def draft_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every target has a draft model: a tiny Llama of its vocabulary that knows nothing of it."""
    monkeypatch.setattr(models, "load_draft", lambda name, target: draft_for(len(target.tokenizer), target.max_context))
