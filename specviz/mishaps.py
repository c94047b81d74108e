"""What a visitor reads where something broke: a sentence with an id, under which the log tells what it was.

Texts of exceptions hold paths, addresses and pieces of what others asked for: the log alone gets them.
"""

from __future__ import annotations

import logging
import uuid

_log = logging.getLogger(__name__)


def broke(what: str) -> str:
    """Log the exception that is being handled; the sentence to show. `what` begins it: "The run"."""
    mishap = uuid.uuid4().hex[:8]
    _log.exception("%s broke, %s", what, mishap)
    return f"{what} broke; the server's log says why, under {mishap}."
