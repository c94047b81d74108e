"""Without numba, as on a GPU machine: all imports, the loops that every device needs, and whole runs on a CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from without_numba import METHODS, searched

from engine.runtime.compiled import njit, runs_compiled

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What a process prints to which numba and the dashboard's packages are not installed."""
    command = [sys.executable, "-W", "error::RuntimeWarning", "tests/without_numba.py"]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "HF_HUB_OFFLINE": "1", "PATH": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parsed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return parsed


def test_every_module_is_imported_and_none_of_the_missing_packages(found: dict[str, Any]) -> None:
    assert found["loaded"] == []


def test_loops_that_every_device_needs_give_the_same_interpreted(found: dict[str, Any]) -> None:
    assert found["searched"] == searched()


@pytest.mark.parametrize("method", METHODS)
def test_methods_decode_the_text_of_plain_decoding(found: dict[str, Any], method: str) -> None:
    assert found["texts"][method] == found["texts"]["plain"]
    assert bool(found["proposed"][method]) == (method != "plain")


def test_such_a_run_says_that_a_near_tie_is_possible(found: dict[str, Any]) -> None:
    assert found["caveat"].startswith("Near-tie possible: on cpu ")


def test_the_compiled_pass_serves_the_cpu_alone() -> None:
    assert runs_compiled(torch.device("cpu"))
    assert not runs_compiled(torch.device("cuda"))


def test_without_a_compiler_a_loop_is_itself_and_integers_wrap_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.runtime.compiled.HAS_COMPILER", False)

    @njit(cache=True)
    def doubled(number: Any) -> Any:
        return number * np.uint64(2)

    assert doubled(np.uint64(2**63 + 1)) == 2


def test_loops_are_compiled_in_turns_with_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    class Seen:
        def __enter__(self) -> None:
            taken.append("begun")

        def __exit__(self, *_: object) -> None:
            taken.append(f"over with {len(searched_loop.signatures)} compiled")

    monkeypatch.setattr("engine.runtime.compiled._TURNS", Seen())

    @njit()
    def searched_loop(number: Any) -> Any:
        return number + 1

    assert searched_loop(1) == 2
    assert searched_loop(2) == 3
    assert taken == ["begun", "over with 1 compiled"]
