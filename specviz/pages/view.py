"""What a view is: a tab that lays itself out and knows where an address leads inside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qsl

from gradio.components import Component

from specviz.decoding import link
from specviz.text import without_surrogates

MAX_QUERY_CHARS = 16_000
MAX_KEYS = 100
KEYS = ("view", "run", "step", "ids", "group", "method", "task", "term", "again")
"""Beside these, an address may hold settings: `link.PREFIX` and a name."""
VIEWER = "viewer"
"""Beside the keys of an address, the server adds whose browser asks, where that is known."""


class View(Protocol):
    """One tab of the page."""

    @property
    def id(self) -> str:
        """Its name in an address: `?view=ID`."""

    @property
    def title(self) -> str:
        """Its name on the page."""

    def build(self) -> Sequence[Component]:
        """Lay it out inside the current tab. Returns the components that `arrive` updates."""

    def arrive(self, query: Mapping[str, str]) -> Sequence[Any]:
        """One update for each component of `build`, whenever the tab is opened. `query` may hold anything."""


def place(search: object) -> dict[str, str]:
    """The known keys of an address such as `?view=inspect&run=ID&step=4`; anything else is left out."""
    if not isinstance(search, str):
        return {}
    pairs = parse_qsl(search[:MAX_QUERY_CHARS].removeprefix("?"), errors="replace")
    return known(dict(pairs))


def known(query: Mapping[str, Any]) -> dict[str, str]:
    """The known keys of a query."""
    found = [key for key in query if key in KEYS or key.startswith(link.PREFIX)][:MAX_KEYS]
    return {without_surrogates(key): without_surrogates(str(query[key]))[:MAX_QUERY_CHARS] for key in found}
