"""Text on its way to a page or a model: what no encoding can carry becomes a visible escape."""

from __future__ import annotations

import json
import re
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet would run."""
_PATH = re.compile(r"(?<![\w./:])(?:~|[A-Za-z]:)?(?:[/\\][\w.@%+~-]+){2,}")
"""An absolute path of two parts or more; an address of the web is none."""


def without_surrogates(text: str) -> str:
    r"""Lone surrogates as the six characters `\udXXX`; everything else as it is."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def to_wire(message: dict[str, Any]) -> str:
    """A message as ASCII JSON without `<`, so that no template, tag or encoding can get in its way."""
    return json.dumps(message, ensure_ascii=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def first_line(text: str, num_chars: int) -> str:
    """The beginning of a text on one line, for lists."""
    line = " ".join(without_surrogates(text).split())
    return line if len(line) <= num_chars else line[: num_chars - 1] + "…"


def without_folders(text: str) -> str:
    """Absolute paths as their last part alone: what they name is said, where it lies is nobody's business."""
    return _PATH.sub(lambda found: "…/" + re.split(r"[/\\]", found[0])[-1], text)


def harmless(value: Any) -> Any:
    """A cell of a table; a text that a spreadsheet would run as a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def printable(value: Any) -> Any:
    """Plain values with every text in them made fit for any encoding."""
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, dict):
        return {name: printable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [printable(item) for item in value]
    return value
