"""Products on AMX: machine code for it where a processor has it, nothing anywhere else, and no idle row ever read."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
import torch
from llvmlite import ir
from small_parts import by_definition, drawn, multiply

from engine.runtime.cpu import tiles
from engine.runtime.cpu.memory import Memory
from engine.runtime.cpu.products import COLUMNS, GROUP, pack
from engine.runtime.cpu.tiles import FEW_ROWS, TILE_ROWS, can_use, product

HAS_TILES = bool(llvm.get_host_cpu_features().get("amx-bf16"))


def assembled(row_tiles: int) -> str:
    """The kernel for one or two tiles of rows, as a processor with AMX would run it."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = ir.Module()
    module.triple = "x86_64-unknown-linux-gnu"
    tiles._tile(module, row_tiles).linkage = ""
    machine = llvm.Target.from_triple(module.triple).create_target_machine(cpu="sapphirerapids", opt=3)
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    return str(machine.emit_assembly(parsed))


@pytest.mark.parametrize("row_tiles", [1, 2])
def test_the_kernel_assembles_for_a_processor_with_tiles(row_tiles: int) -> None:
    lines = [line.split("#")[0].split() for line in assembled(row_tiles).splitlines()]
    names = [line[0] for line in lines if line]
    num_sums = 2 * row_tiles
    counts = {name: names.count(name) for name in ("ldtilecfg", "tilezero", "tdpbf16ps", "tilestored", "tilerelease")}
    assert counts == {
        "ldtilecfg": 1,
        "tilezero": num_sums,
        "tdpbf16ps": num_sums,
        "tilestored": num_sums,
        "tilerelease": 1,
    }
    assert names.count("tileloadd") == row_tiles + 2, "each tile of rows and of columns is read once a group"
    assert names.index("ldtilecfg") < names.index("tdpbf16ps") < names.index("tilestored") < names.index("tilerelease")


def test_no_sum_is_kept_in_a_tile_that_something_is_read_into() -> None:
    lines = [line.replace(",", " ").split() for line in assembled(2).splitlines()]
    sums = {line[-1] for line in lines if line and line[0] == "tdpbf16ps"}
    read = {line[-1] for line in lines if line and line[0] == "tileloadd"}
    assert len(sums) == 4
    assert len(read) == 4
    assert not sums & read


def test_a_configuration_is_eight_whole_tiles() -> None:
    builder = ir.IRBuilder(ir.Function(ir.Module(), ir.FunctionType(ir.VoidType(), []), "f").append_basic_block())
    tiles._configured(builder)
    stored = [line for line in builder.block.instructions if line.opname == "store"][-1]
    numbers = [number.constant for number in stored.operands[0].constant]
    assert numbers[0] == 1, "the palette"
    assert numbers[16:32] == [64, 0] * 8, "bytes a row"
    assert numbers[48:56] == [16] * 8, "rows"
    assert sum(numbers) == 1 + 8 * (64 + 16)


def emitted(monkeypatch: pytest.MonkeyPatch, can_compile: bool) -> set[str]:
    """What `multiply` declares in a module of its own."""
    from numba import types
    from numba.core import cpu
    from numba.core.registry import cpu_target

    monkeypatch.setattr(tiles, "CAN_COMPILE", can_compile)
    matrix = types.Array(types.uint16, 2, "C")
    signature, generate = tiles._multiply(None, *[None] * 5, matrix, None, None, None)
    context: cpu.CPUContext = cpu_target.target_context
    module = ir.Module()
    kinds = [context.get_value_type(kind) for kind in signature.args]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), "caller")
    generate(context, ir.IRBuilder(function.append_basic_block()), signature, function.args)
    return set(module.globals) - {"caller"}


def test_elsewhere_nothing_is_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert emitted(monkeypatch, False) == set()
    assert {"specviz_amx_1", "specviz_amx_2", "llvm.x86.tdpbf16ps"} <= emitted(monkeypatch, True)


@pytest.fixture
def asked_anew() -> Any:
    can_use.cache_clear()
    yield
    can_use.cache_clear()


def test_a_processor_without_tiles_does_not_use_them(monkeypatch: pytest.MonkeyPatch, asked_anew: None) -> None:
    monkeypatch.delenv("SPECVIZ_NO_AMX", raising=False)
    assert not can_use() or HAS_TILES
    can_use.cache_clear()
    monkeypatch.setattr(tiles, "CAN_COMPILE", False)
    assert not can_use()


def ready(monkeypatch: pytest.MonkeyPatch, *, is_refused: bool = False, agrees: bool = True) -> list[str]:
    """A processor with tiles, whose system may refuse them and whose first product may disagree."""
    asked: list[str] = []

    class System:
        @staticmethod
        def syscall(*arguments: int) -> int:
            asked.append("permission")
            assert arguments == (158, 0x1023, 18)
            return -1 if is_refused else 0

    monkeypatch.setattr(tiles, "CAN_COMPILE", True)
    monkeypatch.setattr(tiles.ctypes, "CDLL", lambda name: System)
    monkeypatch.setattr(tiles, "_agree", lambda: asked.append("product") is None and agrees)
    return asked


def test_tiles_are_used_by_permission_and_where_they_compute_the_definition(
    monkeypatch: pytest.MonkeyPatch, asked_anew: None
) -> None:
    monkeypatch.delenv("SPECVIZ_NO_AMX", raising=False)
    for settings, wanted in (({"is_refused": True}, False), ({"agrees": False}, False), ({}, True)):
        asked = ready(monkeypatch, **settings)
        assert can_use() == wanted
        assert can_use() == wanted, "asked once"
        assert asked == (["permission"] if "is_refused" in settings else ["permission", "product"])
        can_use.cache_clear()


def test_they_can_be_gone_without(monkeypatch: pytest.MonkeyPatch, asked_anew: None) -> None:
    asked = ready(monkeypatch)
    monkeypatch.setenv("SPECVIZ_NO_AMX", "1")
    assert not can_use()
    assert asked == [], "the system is not even asked"


def test_prompts_are_read_by_tiles_where_there_are_any_even_if_they_are_gone_without(
    monkeypatch: pytest.MonkeyPatch, asked_anew: None
) -> None:
    """So that the same text has the same bits with tiles and without; refused ones are as none."""
    monkeypatch.delenv("SPECVIZ_NO_AMX", raising=False)
    ready(monkeypatch)
    monkeypatch.setattr(tiles, "HAS_TILES", True)
    assert tiles.can_read()
    can_use.cache_clear()
    ready(monkeypatch, is_refused=True)
    assert not tiles.can_read()
    can_use.cache_clear()
    monkeypatch.setenv("SPECVIZ_NO_AMX", "1")
    assert tiles.can_read()
    monkeypatch.setattr(tiles, "HAS_TILES", False)
    assert not tiles.can_read()


# The rows of a product


def chosen(num_rows: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """First row and number of rows of each call for tiles and of each for multiply-add, by the compiled source."""
    on_tiles: list[tuple[int, int]] = []
    others: list[tuple[int, int]] = []
    matrix = np.zeros((1, GROUP * COLUMNS), np.uint16)
    x, bits = np.zeros((1, GROUP), np.float32), np.zeros((1, GROUP), np.uint16)
    out = np.zeros((1, COLUMNS), np.float32)
    plain = dict(product.py_func.__globals__)
    plain["multiply"] = lambda at, stride, x, x_stride, tiles, *rest: on_tiles.append(
        ((at - out.ctypes.data) // stride, TILE_ROWS * tiles)
    )
    plain["multiply_tile"] = lambda at, stride, x, x_stride, rows, *rest: others.append(
        ((at - out.ctypes.data) // stride, rows)
    )
    type(product.py_func)(product.py_func.__code__, plain)(x, bits, num_rows, matrix, 0, 1, out, 0, True)
    return on_tiles, others


def test_many_rows_go_on_tiles_and_the_few_behind_them_do_not() -> None:
    for num_rows in range(1, 200):
        assert_is_shared_out(num_rows)


def assert_is_shared_out(num_rows: int) -> None:
    on_tiles, others = chosen(num_rows)
    end = 0
    for first, size in on_tiles:
        assert first == end
        assert num_rows - first > FEW_ROWS
        assert size == (2 if num_rows - first > TILE_ROWS else 1) * TILE_ROWS
        end = first + size
    for first, size in others:
        assert first == end
        assert 1 <= size <= FEW_ROWS
        end += size
    assert end >= num_rows
    assert others == [] or end == num_rows
    room = max((first + size for first, size in on_tiles), default=0)
    assert room <= Memory.padded(num_rows), "what idle rows of a tile write to is there"
    assert room <= -(-num_rows // TILE_ROWS) * TILE_ROWS, "and so in a product of its own"


@pytest.mark.parametrize("first", range(TILE_ROWS))
def test_rows_that_are_scored_have_room_behind_them_wherever_they_begin(first: int) -> None:
    for num_scored in range(1, 70):
        on_tiles, _ = chosen(num_scored)
        room = max((begin + size for begin, size in on_tiles), default=0)
        assert first + room <= Memory.padded(first + num_scored)


@pytest.mark.parametrize("num_rows", [1, 3, 7, 17, 33])
def test_what_stands_behind_the_last_row_is_never_looked_at(num_rows: int) -> None:
    x, weight = drawn(num_rows, 70, dtype=torch.bfloat16), drawn(40, 70, seed=1, dtype=torch.bfloat16)
    found = multiply(x, pack(weight), junk=float("nan"))[:, :40]
    assert np.array_equal(found, by_definition(x, weight))
