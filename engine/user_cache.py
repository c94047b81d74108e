"""Where this program keeps what it can make again: compiled loops, converted models. Imports the standard library."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """The folder that SPECVIZ_CACHE names, else `specviz` in XDG_CACHE_HOME or in the user's `.cache`.

    It need not exist. Raises RuntimeError for a user without a home.
    """
    if given := os.environ.get("SPECVIZ_CACHE"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "specviz"
