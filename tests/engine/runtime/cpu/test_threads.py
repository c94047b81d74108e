"""numba's pool of threads leaves torch's number as it was set, and obeys what the process may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
CALL = """
import engine
import torch
torch.set_num_threads(1)
assert torch.get_num_threads() == 1  # torch sets OpenMP's number once, when it is first asked
from engine.runtime.cpu.threads import compiled_threads
print(torch.get_num_threads())
import numpy as np
from engine.runtime.cpu import softmax
numbers = np.ones((4, 8), np.float32), 4, 8, np.empty((4, 2), np.int64), np.empty((4, 2))
{call}
import numba
print(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)
"""
HELD = "with compiled_threads(): softmax.likeliest(*numbers)"
FREE = "softmax.likeliest(*numbers)"


def run(call: str, **environment: str) -> list[str]:
    """What a fresh program prints: torch's threads behind the import, then behind the call, and numba's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_NUM", "OMP_", "CPU_C"))}
    command = [sys.executable, "-c", CALL.format(call=call)]
    return subprocess.check_output(command, cwd=ROOT, env={**kept, **environment}, text=True).split()


@pytest.mark.parametrize("call", [HELD, FREE])
def test_torch_keeps_the_threads_that_it_was_given(call: str) -> None:
    assert run(call, NUMBA_NUM_THREADS="2") == ["1", "1", "2"]


def test_the_pool_has_no_more_threads_than_the_process_may_use() -> None:
    assert run(HELD, CPU_CORES="1") == ["1", "1", "1"]
