"""Scores of queries on cached keys, and weighted sums of cached values, in one order whatever shares the pass.

A score is summed over the head's dimensions in order, an output over the row's own context in order, one fused
multiply-add a term; lanes hold different columns of keys or different dimensions of values, never parts of a sum.
Keys stand in blocks of 16 columns, (d, 16) each, values as (columns, d). Knows numbers and addresses only.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.runtime.cpu.products import IS_WIDE
from engine.runtime.cpu.vectors import (
    F32,
    I64,
    LANES,
    VECTOR,
    ZEROS,
    at,
    define,
    fused,
    loaded,
    loop,
    of_count,
    spread,
    stored,
    times,
    widened,
)

QUERIES = 6 if IS_WIDE else 4
"""Queries that share one reading of keys and values: as many as there are registers for their sums."""
BLOCKS = 4 if IS_WIDE else 2
"""Blocks of keys whose scores are summed at once."""
STEP = BLOCKS * LANES
"""Columns that are scored at once; a cache holds whole steps."""
_VALUES = 4


def _score(module: Any, dtype: Any, queries: int) -> Any:
    """(out, its row stride, queries, their row stride, keys, steps, head's dimensions)."""
    size = dtype.bitwidth // 8

    def body(builder: Any, arguments: list[Any]) -> None:
        out, out_stride, query, query_stride, keys, num_steps, dims = arguments
        rows = [builder.add(query, times(builder, query_stride, r)) for r in range(queries)]
        block_size = times(builder, dims, LANES * size)

        def step(index: Any, _: list[Any]) -> list[Any]:
            first = builder.add(keys, builder.mul(times(builder, index, BLOCKS), block_size))
            blocks = [builder.add(first, times(builder, block_size, b)) for b in range(BLOCKS)]

            def dimension(d: Any, sums: list[Any]) -> list[Any]:
                offset = times(builder, d, LANES * size)
                columns = [widened(builder, at(builder, block, offset), dtype) for block in blocks]
                place = times(builder, d, 4)
                factors = [spread(builder, loaded(builder, at(builder, row, place), F32)) for row in rows]
                return [
                    fused(builder, factors[r], columns[b], sums[r * BLOCKS + b])
                    for r in range(queries)
                    for b in range(BLOCKS)
                ]

            sums = loop(builder, dims, [ZEROS] * (queries * BLOCKS), dimension)
            begin = builder.add(out, times(builder, index, 4 * STEP))
            for r in range(queries):
                row = builder.add(begin, times(builder, out_stride, r))
                for b in range(BLOCKS):
                    stored(builder, at(builder, row, 64 * b), sums[r * BLOCKS + b])
            return []

        loop(builder, num_steps, [], step)

    return define(module, f"specviz_score_{dtype}_{queries}", 7, body)


def _weigh(module: Any, dtype: Any, queries: int, vectors: int, is_listed: bool) -> Any:
    """(out, its row stride, weights, their row stride, values, their row stride, columns, list of columns)."""

    def body(builder: Any, arguments: list[Any]) -> None:
        out, out_stride, weights, weight_stride, values, value_stride, num_columns, listed = arguments
        outputs = [builder.add(out, times(builder, out_stride, r)) for r in range(queries)]
        rows = [builder.add(weights, times(builder, weight_stride, r)) for r in range(queries)]
        size = dtype.bitwidth // 8

        def column(index: Any, sums: list[Any]) -> list[Any]:
            place = loaded(builder, at(builder, listed, times(builder, index, 8)), I64, 8) if is_listed else index
            value = builder.add(values, builder.mul(place, value_stride))
            numbers = [widened(builder, at(builder, value, LANES * size * v), dtype) for v in range(vectors)]
            offset = times(builder, index, 4)
            factors = [spread(builder, loaded(builder, at(builder, row, offset), F32)) for row in rows]
            return [
                fused(builder, factors[r], numbers[v], sums[r * vectors + v])
                for r in range(queries)
                for v in range(vectors)
            ]

        begin = [loaded(builder, at(builder, output, 64 * v), VECTOR) for output in outputs for v in range(vectors)]
        sums = loop(builder, num_columns, begin, column)
        for r, output in enumerate(outputs):
            for v in range(vectors):
                stored(builder, at(builder, output, 64 * v), sums[r * vectors + v])

    return define(module, f"specviz_weigh_{dtype}_{queries}_{vectors}_{is_listed}", 8, body)


def _address(context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.add(builder.ptrtoint(data, I64), times(builder, offset, kind.dtype.bitwidth // 8))


def _scored(
    context: Any,
    out: Any,
    stride: Any,
    query: Any,
    query_stride: Any,
    count: Any,
    keys: Any,
    first: Any,
    steps: Any,
    dims: Any,
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, stride, query, query_stride, count, keys, first, steps, dims = args
        kind = signature.args[5]
        arguments = [out, stride, query, query_stride, _address(context, builder, kind, keys, first), steps, dims]
        of_count(builder, count, QUERIES, lambda n: _score(builder.module, kind.dtype, n), arguments)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, keys, *[types.int64] * 3), generate


def _weighed(
    context: Any,
    out: Any,
    stride: Any,
    weights: Any,
    weight_stride: Any,
    count: Any,
    values: Any,
    first: Any,
    dims: Any,
    columns: Any,
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, stride, weights, weight_stride, count, values, first, dims, columns = args
        kind = signature.args[5]
        address = _address(context, builder, kind, values, first)
        row = times(builder, dims, kind.dtype.bitwidth // 8)
        rest = [row, columns, ir.Constant(I64, 0)]

        def part(begin: Any, vectors: int) -> None:
            moved = builder.add(out, times(builder, begin, 4))
            value = builder.add(address, times(builder, begin, kind.dtype.bitwidth // 8))
            arguments = [moved, stride, weights, weight_stride, value, *rest]
            of_count(
                builder, count, QUERIES, lambda n: _weigh(builder.module, kind.dtype, n, vectors, False), arguments
            )

        _parts(builder, dims, part)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, values, *[types.int64] * 3), generate


def _weighed_listed(
    context: Any, out: Any, weights: Any, values: Any, first: Any, dims: Any, columns: Any, listed: Any
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, weights, values, first, dims, columns, listed = args
        kind = signature.args[2]
        address = _address(context, builder, kind, values, first)
        row, none = times(builder, dims, kind.dtype.bitwidth // 8), ir.Constant(I64, 0)

        def part(begin: Any, vectors: int) -> None:
            moved = builder.add(out, times(builder, begin, 4))
            value = builder.add(address, times(builder, begin, kind.dtype.bitwidth // 8))
            function = _weigh(builder.module, kind.dtype, 1, vectors, True)
            builder.call(function, [moved, none, weights, none, value, row, columns, listed])

        _parts(builder, dims, part)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, values, *[types.int64] * 4), generate


def _parts(builder: Any, dims: Any, part: Any) -> None:
    """The head's dimensions in parts of four vectors, the rest in parts of one."""
    zero, wide = ir.Constant(I64, 0), ir.Constant(I64, LANES * _VALUES)
    whole = builder.sub(dims, builder.srem(dims, wide))
    for begin, end, vectors in ((zero, whole, _VALUES), (whole, dims, 1)):
        count = builder.sdiv(builder.sub(end, begin), ir.Constant(I64, LANES * vectors))
        with builder.if_then(builder.icmp_signed(">", count, zero)):

            def one(index: Any, _: list[Any], begin: Any = begin, vectors: int = vectors) -> list[Any]:
                part(builder.add(begin, times(builder, index, LANES * vectors)), vectors)
                return []

            loop(builder, count, [], one)


score: Any = intrinsic(_scored)
"""In compiled code: (out, row stride, queries, row stride, 1 to QUERIES of them, keys, first number of them, steps of
STEP columns, dimensions): scores on all these columns, in addresses and bytes."""
weigh: Any = intrinsic(_weighed)
"""In compiled code: (out, row stride, weights, row stride, 1 to QUERIES rows, values, first number of them, dimensions,
columns, at least 1): adds weighted values to what stands in `out`."""
weigh_listed: Any = intrinsic(_weighed_listed)
"""In compiled code: (out, weights, values, first number, dimensions, how many, address of their columns): as `weigh`,
of one row and of columns that are listed."""
