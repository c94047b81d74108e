"""Which browser an open page belongs to, and whose runs it may change.

A browser names itself by a random token that it keeps; here there is only the token's hash, so that nobody who reads
the database can act in another's name. A tab names itself in the same way, so that a page that is loaded anew is known.
Where the program serves one person, everybody may change everything; on a public instance a run is changed by the
browser that made it. No account, no cookie, no address is known.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping

from engine.errors import BadInput

MAX_PAGES = 10_000
_TOKEN = re.compile(r"[0-9a-f]{32}")


class Visitors:
    """The pages that are open. Safe to share between threads."""

    def __init__(self, is_public: bool = False, most: int = MAX_PAGES) -> None:
        self.is_public = is_public
        self._most = most
        self._pages: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._guard = threading.Lock()

    def greet(self, page: str, token: object, tab: object = "") -> None:
        """Remember whose an open page is, and in which tab. Forgets the oldest where there are too many."""
        with self._guard:
            self._pages.pop(page, None)
            self._pages[page] = hashed(token), hashed(tab)
            while len(self._pages) > self._most:
                self._pages.popitem(last=False)

    def of_page(self, page: str) -> str:
        """The browser of an open page; empty where it has not said."""
        with self._guard:
            return self._pages.get(page, ("", ""))[0]

    def key(self, page: str) -> str:
        """What stays the same when a page is loaded anew: its tab; the page itself where it has not said."""
        with self._guard:
            return self._pages.get(page, ("", ""))[1] or page

    def may_change(self, token: object, maker: str) -> bool:
        """Whether the browser with this token may change what `maker` made."""
        return not self.is_public or (maker != "" and hashed(token) == maker)

    def check(self, token: object, makers: Mapping[str, str]) -> None:
        """Raises BadInput where one of the runs is not this browser's to change. `makers`: by run."""
        others = [run_id for run_id, maker in makers.items() if not self.may_change(token, maker)]
        if others:
            what = "That run is" if len(makers) == 1 else f"{len(others)} of these {len(makers)} runs are"
            raise BadInput(
                f"{what} not yours. Here everybody may look at a run and export it; only the browser that made it may "
                "tag, note or delete it. Nothing was changed."
            )


def hashed(token: object) -> str:
    """What is kept of a token; empty for what is none."""
    is_token = isinstance(token, str) and _TOKEN.fullmatch(token)
    return hashlib.sha256(str(token).encode()).hexdigest()[:32] if is_token else ""
