"""Column types that give back exactly the string that was put in.

A prompt may hold NULs, which PostgreSQL refuses and SQLite's functions stop at, and lone surrogates,
which UTF-8 cannot hold. Both are written as DLE and four hex digits, and so is DLE (U+0010) itself;
all other text is stored as it is, so that it can be searched and read with any tool.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

_UNSAFE = re.compile("[\x00\x10\ud800-\udfff]")
_JSON = json.JSONEncoder(check_circular=False, default=vars, ensure_ascii=False, separators=(",", ":"))
_ESCAPED = re.compile("\x10([0-9a-f]{4})")


def encode(text: str) -> str:
    """`text` as any database can hold it."""
    return _UNSAFE.sub(lambda match: f"\x10{ord(match[0]):04x}", text)


def decode(stored: str) -> str:
    """The text that `encode` was given."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), stored)


def to_json(value: Any) -> str:
    """Compact JSON of plain values and dataclasses.

    Not ASCII-escaped, unlike engine.events.to_json: a JSON reader joins an escaped surrogate pair
    into one character, and `encode` keeps its halves apart. `vars` is several times cheaper than a
    dataclass's deep copy, and the writer thread shares the interpreter with the decoding.
    Raises TypeError for other values and RecursionError for circular ones.
    """
    return _JSON.encode(value)


class ExactText(TypeDecorator[str]):
    """Any Python string."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """From the database."""
        return None if value is None else decode(value)


class ExactJson(TypeDecorator[dict[str, Any]]):
    """A dictionary or list of plain JSON values, as text; the native JSON types refuse NULs."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else encode(to_json(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        """From the database."""
        return None if value is None else json.loads(decode(value))
