"""The program's log: one line each with the time in front, runs by their ids, nothing of what is in them."""

from __future__ import annotations

import logging
import os

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def set_up() -> None:
    """Our own lines from `info` on, other packages' warnings, to standard error; SPECVIZ_LOG names another level."""
    logging.basicConfig(format=FORMAT, level=logging.WARNING)
    level = logging.getLevelNamesMapping().get(os.environ.get("SPECVIZ_LOG", "").strip().upper(), logging.INFO)
    logging.getLogger("specviz").setLevel(level)
