"""Machine code that numba has no word for: vectors of 16 numbers, fused sums, atomic counters, denormals, pauses.

Everything here says exactly which operations run in which order, without any permission to reorder or contract, so
a result has the same bits on every processor: how wide its registers are decides the speed alone. Made with llvmlite,
which numba brings along. Knows numbers and addresses; knows no model.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
"""Numbers in a vector, whatever the width of this processor's registers."""
IS_X86 = platform.machine().lower() in ("x86_64", "amd64")
_FLUSH_TO_ZERO = 0x8040
"""MXCSR: denormal results become zero, and denormal operands count as zero."""

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
F16, F32 = ir.HalfType(), ir.FloatType()
POINTER = ir.PointerType(I8)
VECTOR = ir.VectorType(F32, LANES)
INTS = ir.VectorType(I32, LANES)
ZEROS = ir.Constant(VECTOR, [0.0] * LANES)


def declared(module: ir.Module, name: str, result: ir.Type, arguments: Sequence[ir.Type]) -> Any:
    """A function of LLVM's or of the C library by its name."""
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, arguments), name)


def define(module: ir.Module, name: str, num_arguments: int, body: Callable[[ir.IRBuilder, list[Any]], None]) -> Any:
    """A function of this module, of so many 64-bit whole numbers; made by `body` at its first mention."""
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * num_arguments), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    body(builder, list(function.args))
    builder.ret_void()
    return function


def loop(
    builder: ir.IRBuilder, count: Any, carried: Sequence[Any], body: Callable[[Any, list[Any]], Sequence[Any]]
) -> list[Any]:
    """`body(index, values) → values` for 0, 1 … count - 1, count at least 1; returns the last values."""
    before = builder.block
    block = builder.append_basic_block("loop")
    builder.branch(block)
    builder.position_at_end(block)
    index = builder.phi(I64)
    phis = [builder.phi(value.type) for value in carried]
    results = list(body(index, list(phis)))
    following = builder.add(index, ir.Constant(I64, 1))
    end = builder.block
    after = builder.append_basic_block("after")
    builder.cbranch(builder.icmp_signed("<", following, count), block, after)
    for phi, first, result in zip([index, *phis], [ir.Constant(I64, 0), *carried], [following, *results], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(result, end)
    builder.position_at_end(after)
    return results


def of_count(
    builder: ir.IRBuilder, count: Any, most: int, make: Callable[[int], Any], arguments: Sequence[Any]
) -> None:
    """Call the function made for so many queries, 1 to `most`."""
    end = builder.append_basic_block("counted")
    choice = builder.switch(count, end)
    for number in range(1, most + 1):
        builder.position_at_end(case := builder.append_basic_block(f"count{number}"))
        choice.add_case(ir.Constant(I64, number), case)
        builder.call(make(number), arguments)
        builder.branch(end)
    builder.position_at_end(end)


def at(builder: ir.IRBuilder, address: Any, offset: Any = 0) -> Any:
    """A pointer to so many bytes behind an address."""
    moved = builder.add(address, ir.Constant(I64, offset) if isinstance(offset, int) else offset)
    return builder.inttoptr(moved, POINTER)


def times(builder: ir.IRBuilder, index: Any, size: int) -> Any:
    """An offset of `index` things of a fixed size, or of `size` things of a size known in the run."""
    return builder.mul(index, ir.Constant(I64, size))


def loaded(builder: ir.IRBuilder, pointer: Any, kind: ir.Type, align: int = 4) -> Any:
    """What stands at a pointer, read as `kind`."""
    return builder.load(builder.bitcast(pointer, ir.PointerType(kind)), align=align, typ=kind)


def stored(builder: ir.IRBuilder, pointer: Any, value: Any, align: int = 4) -> None:
    """Write a vector."""
    builder.store(value, builder.bitcast(pointer, ir.PointerType(value.type)), align=align)


def spread(builder: ir.IRBuilder, number: Any) -> Any:
    """A number in every lane."""
    first = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, ir.Constant(I32, 0))
    return builder.shuffle_vector(
        first, ir.Constant(VECTOR, ir.Undefined), ir.Constant(ir.VectorType(I32, LANES), [0] * LANES)
    )


def fused(builder: ir.IRBuilder, a: Any, b: Any, c: Any) -> Any:
    """A · b + c of vectors, rounded once."""
    return builder.call(declared(builder.module, f"llvm.fma.v{LANES}f32", VECTOR, [VECTOR] * 3), [a, b, c])


def fetch(builder: ir.IRBuilder, pointer: Any) -> None:
    """Ask for a cache line that will be read soon."""
    function = declared(builder.module, "llvm.prefetch.p0", ir.VoidType(), [POINTER, I32, I32, I32])
    builder.call(function, [pointer, *(ir.Constant(I32, value) for value in (0, 3, 1))])


def widened(builder: ir.IRBuilder, pointer: Any, dtype: types.Type) -> Any:
    """16 neighbouring numbers as float32: of bfloat16 as its bits (uint16), float16 as its bits (int16) or float32."""
    if dtype == types.float32:
        return loaded(builder, pointer, VECTOR)
    if dtype == types.int16:
        return builder.fpext(loaded(builder, pointer, ir.VectorType(F16, LANES), 2), VECTOR)
    bits = builder.zext(loaded(builder, pointer, ir.VectorType(I16, LANES), 2), INTS)
    return builder.bitcast(builder.shl(bits, ir.Constant(INTS, [16] * LANES)), VECTOR)


def like(value: Any, number: float) -> ir.Constant:
    """A constant of a value's type: in every lane of a vector."""
    if isinstance(value.type, ir.VectorType):
        return ir.Constant(value.type, [number] * value.type.count)
    return ir.Constant(value.type, number)


def with_lanes(value: Any, kind: ir.Type) -> ir.Type:
    """A number's type, for as many lanes as a value has."""
    return ir.VectorType(kind, value.type.count) if isinstance(value.type, ir.VectorType) else kind


def fused_any(builder: ir.IRBuilder, a: Any, b: Any, c: Any) -> Any:
    """A · b + c of numbers or of vectors, rounded once."""
    if isinstance(a.type, ir.VectorType):
        return fused(builder, a, b, c)
    return builder.call(declared(builder.module, "llvm.fma.f32", F32, [F32] * 3), [a, b, c])


def _fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.call(declared(builder.module, "llvm.fma.f32", F32, [F32] * 3), args)

    return types.float32(types.float32, types.float32, types.float32), generate


fma: Any = intrinsic(_fma)
"""In compiled code: a · b + c in float32, rounded once; loops over it become loops over vectors."""


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return cgutils.gep(builder, context.make_array(kind)(context, builder, array).data, index)


def _atomic_load(context: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_place(context, builder, signature.args[0], *args), "seq_cst", 8)

    return types.int64(array, types.int64), generate


def _atomic_store(context: Any, array: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _place(context, builder, signature.args[0], *args[:2]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), generate


def _atomic_add(context: Any, array: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature.args[0], *args[:2])
        return builder.atomic_rmw("add", place, args[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), generate


def _atomic_swap(context: Any, array: Any, index: Any, old: Any, new: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature.args[0], *args[:2])
        outcome = builder.cmpxchg(place, args[2], args[3], "seq_cst", "seq_cst")
        return builder.extract_value(outcome, 1)

    return types.boolean(array, types.int64, types.int64, types.int64), generate


atomic_load: Any = intrinsic(_atomic_load)
"""In compiled code: entry `index` of an int64 array, as the last thread wrote it."""
atomic_store: Any = intrinsic(_atomic_store)
"""In compiled code: write an entry for all threads to see, behind all that was written before."""
atomic_add: Any = intrinsic(_atomic_add)
"""In compiled code: add to an entry; returns what it was."""
atomic_swap: Any = intrinsic(_atomic_swap)
"""In compiled code: write `new` where the entry is still `old`; returns whether it was."""


def _flush(context: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not IS_X86:
            return ir.Constant(I32, 0)
        place = cgutils.alloca_once(builder, I32)
        _status(builder, "st", place)
        before = builder.load(place)
        builder.store(builder.or_(before, ir.Constant(I32, _FLUSH_TO_ZERO)), place)
        _status(builder, "ld", place)
        return before

    return types.int32(), generate


def _restore(context: Any, before: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if IS_X86:
            place = cgutils.alloca_once(builder, I32)
            builder.store(args[0], place)
            _status(builder, "ld", place)
        return context.get_dummy_value()

    return types.void(types.int32), generate


def _status(builder: Any, way: str, place: Any) -> None:
    function = declared(builder.module, f"llvm.x86.sse.{way}mxcsr", ir.VoidType(), [POINTER])
    builder.call(function, [builder.bitcast(place, POINTER)])


flush_denormals: Any = intrinsic(_flush)
"""In compiled code: from now on this thread counts denormal numbers as zero; returns what to restore."""
restore_denormals: Any = intrinsic(_restore)
"""In compiled code: this thread counts denormal numbers as it did before `flush_denormals`."""


def _pause(context: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if IS_X86:
            builder.call(declared(builder.module, "llvm.x86.sse2.pause", ir.VoidType(), []), [])
        return context.get_dummy_value()

    return types.void(), generate


def _cycles(context: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not IS_X86:
            return ir.Constant(I64, 0)
        return builder.call(declared(builder.module, "llvm.readcyclecounter", I64, []), [])

    return types.int64(), generate


cycles: Any = intrinsic(_cycles)
"""In compiled code: the processor's steady counter, where every program may read it; 0 elsewhere."""
pause: Any = intrinsic(_pause)
"""In compiled code: a moment of waiting that leaves the core's other thread alone."""

give_way: Any = types.ExternalFunction(
    "SwitchToThread" if platform.system() == "Windows" else "sched_yield", types.int32()
)
"""In compiled code: let another program have this core."""
