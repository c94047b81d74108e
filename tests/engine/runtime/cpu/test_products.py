"""The compiled product is its definition, bit for bit, for any number of rows, threads and on any processor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_parts import BITS, by_definition, digest, drawn, flushed, fused, multiply
from torch import Tensor

from engine.runtime.cpu import linear, products
from engine.runtime.cpu.products import COLUMNS, GROUP, pack

ROOT = Path(__file__).parents[4]
DTYPES = list(BITS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
LAYERS = {
    "story, attention": (384, 384),
    "story, gate and up": (2048, 384),
    "story, down": (384, 1024),
    "story, output": (4096, 384),
    "SmolLM2, attention": (960, 576),
    "SmolLM2, attention's output": (576, 576),
    "SmolLM2, gate and up": (3072, 576),
    "SmolLM2, down": (576, 1536),
    "SmolLM2, output": (49152, 576),
}


def assert_same_bits(found: np.ndarray, wanted: np.ndarray) -> None:
    """Equal, zeros' signs included; what is not a number may be any of its kind."""
    is_none = np.isnan(wanted)
    assert np.array_equal(np.isnan(found), is_none)
    different = (found.view(np.int32) != wanted.view(np.int32)) & ~is_none
    assert not different.any(), f"{different.sum()} of {different.size} results differ: {np.argwhere(different)[:3]}"


def assert_is_defined(x: Tensor, weight: Tensor) -> None:
    found = multiply(x, pack(weight))[:, : len(weight)]
    assert_same_bits(np.ascontiguousarray(found), by_definition(x, weight))


@every_dtype
@pytest.mark.parametrize(
    ("num_rows", "inner", "outer"),
    [(1, 32, 32), (2, 1, 1), (3, 31, 33), (5, 33, 31), (7, 64, 70), (13, 130, 65), (40, 65, 32)],
)
def test_it_is_the_definition(num_rows: int, inner: int, outer: int, dtype: torch.dtype) -> None:
    assert_is_defined(drawn(num_rows, inner, dtype=dtype), drawn(outer, inner, seed=1, dtype=dtype))


@every_dtype
def test_numbers_of_very_different_sizes_are_rounded_as_defined(dtype: torch.dtype) -> None:
    wide = 3.0 if dtype == torch.float16 else 20.0
    x, weight = (drawn(9, 96, seed=seed) * torch.exp(wide * drawn(9, 96, seed=seed + 9)) for seed in (0, 1))
    assert_is_defined(x.to(dtype), weight.to(dtype))


@every_dtype
def test_zeros_keep_the_sign_that_the_definition_gives_them(dtype: torch.dtype) -> None:
    x = torch.tensor([[-0.0] * 40, [0.0] * 40, [1.0, -1.0] * 20, [-1.0] * 40]).to(dtype)
    weight = torch.tensor([[-0.0] * 40, [0.0] * 40, [1.0] * 40, [2.0**-20] * 40]).to(dtype)
    assert_is_defined(x, weight)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_denormal_numbers_count_as_zero(dtype: torch.dtype) -> None:
    x = torch.stack([drawn(64), 1e-39 * drawn(64, seed=1), 1e-20 * drawn(64, seed=2), 1e-30 * drawn(64, seed=3)]).to(
        dtype
    )
    weight = torch.stack([drawn(64, seed=4), 1e-39 * drawn(64, seed=5), 1e-19 * drawn(64, seed=6)]).to(dtype)
    assert_is_defined(x, weight)
    found = multiply(x, pack(weight))[:, :3]
    assert not found[1].any(), "denormal rows"
    assert not found[:, 1].any(), "denormal weights"
    assert not found[3, 2].any(), "denormal products"
    assert found[2, 0] != 0


@pytest.mark.parametrize("place", [0, 17, 32, 39])
@every_dtype
def test_what_is_not_finite_stays_what_it_is(dtype: torch.dtype, place: int) -> None:
    x, weight = drawn(8, 40).abs(), drawn(5, 40, seed=1).abs()
    for row, number in enumerate((torch.inf, -torch.inf, torch.nan)):
        x[row, place] = number
        weight[row, place] = number
    weight[4, place] = 0
    x, weight = x.to(dtype), weight.to(dtype)
    assert_is_defined(x, weight)
    found = multiply(x, pack(weight))
    assert found[0, 3] == np.inf
    assert found[1, 3] == -np.inf
    assert np.isnan(found[2]).all() or np.isnan(found[2, :5]).all()
    assert np.isnan(found[0, 4]), "infinity times nothing"
    assert np.isfinite(found[3:, 3:5]).all(), "rows and columns of their own"


def test_the_definition_here_rounds_once() -> None:
    a, b = np.float32(1 + 2**-12), np.float32(1 + 2**-12)
    assert fused(a, b, np.float32(-1)) == np.float32(2**-11 + 2**-24)
    assert fused(np.float32(1 + 2**-23), np.float32(1 - 2**-23), np.float32(-1)) == np.float32(-(2.0**-46))
    assert fused(np.float32(2**12 + 1), np.float32(2**12 + 1), np.float32(2.0**-60)) > np.float32(2**24 + 2**13)
    assert flushed(np.float32(-1e-40)) == 0
    assert np.signbit(flushed(np.float32(-1e-40)))


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_row_has_the_same_bits_alone_and_among_any_number(layer: str, num_threads: int) -> None:
    """Columns are independent: a few blocks stand for the matrix."""
    outer, inner = LAYERS[layer]
    matrix = pack(drawn(min(outer, 3 * COLUMNS), inner, dtype=torch.bfloat16))
    x = drawn(192, inner, seed=1, dtype=torch.bfloat16)
    alone = np.concatenate([multiply(row[None], matrix) for row in x])
    for num_rows in range(1, len(x) + 1):
        found = multiply(x[:num_rows], matrix, num_threads)
        assert np.array_equal(found.view(np.int32), alone[:num_rows].view(np.int32)), num_rows


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_a_row_of_wider_numbers_has_the_same_bits_among_any_number(dtype: torch.dtype) -> None:
    matrix, x = pack(drawn(70, 90, dtype=dtype)), drawn(40, 90, seed=1, dtype=dtype)
    alone = np.concatenate([multiply(row[None], matrix) for row in x])
    for num_rows in range(1, len(x) + 1):
        assert np.array_equal(multiply(x[:num_rows], matrix), alone[:num_rows]), num_rows
    for first in range(len(x)):
        assert np.array_equal(multiply(x[first:], matrix), alone[first:]), first


@every_dtype
def test_a_packed_matrix_is_unpacked_as_it_was(dtype: torch.dtype) -> None:
    weight = drawn(45, 37, dtype=dtype)
    matrix = pack(weight)
    assert matrix.dtype == BITS[dtype]
    assert matrix.shape == (2, COLUMNS * 2 * GROUP)
    assert matrix.ctypes.data % 64 == 0
    assert torch.equal(linear.unpacked(matrix, 45, 37).t(), weight)
    room = np.empty(matrix.size + 5, matrix.dtype)
    assert torch.equal(linear.unpacked(matrix, 45, 37, room).t(), weight)


def test_code_for_another_processor_counts_on_the_fewest_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", "haswell")
    assert not products._has_wide_registers()
    monkeypatch.delenv("NUMBA_CPU_NAME")
    monkeypatch.setattr(products.llvm, "get_host_cpu_features", lambda: {"avx512f": True})
    assert products._has_wide_registers()
    monkeypatch.setattr(products.llvm, "get_host_cpu_features", dict)
    assert not products._has_wide_registers()


def test_a_processor_with_narrower_registers_computes_the_same_bits() -> None:
    narrow = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+f16c"}
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "from small_parts import digest, tiles; print(digest(), tiles.MOST_ROWS, tiles.can_use())",
        ],
        env={**os.environ, **narrow, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == [digest(), "3", "False"]
