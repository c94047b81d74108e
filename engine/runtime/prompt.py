"""Whether the rows that pass now are a prompt's, which plain and drafted decoding share as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_IS_READING: ContextVar[bool] = ContextVar("is_reading", default=False)


@contextmanager
def many_rows() -> Iterator[None]:
    """Let the library multiply meanwhile, and rows go through together."""
    token = _IS_READING.set(True)
    try:
        yield
    finally:
        _IS_READING.reset(token)


def is_reading() -> bool:
    """Whether they are."""
    return _IS_READING.get()
