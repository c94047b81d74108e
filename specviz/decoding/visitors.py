"""Which browser an open page belongs to, and whose runs it may change.

A browser names itself by a random token that it keeps; here there is only the token's hash, so that nobody who reads
the database can act in another's name. A tab names itself in the same way, so that a page that is loaded anew is known.
Where the program serves one person, everybody may change everything; on a public instance a run is changed by the
browser that made it, and by whoever adds the moderator's token to its own, behind a point. No account, no cookie; an
address is known only as long as its runs are in the line.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import BadInput
from specviz.policy import HOME, Policy

MAX_PAGES = 10_000
MAX_ADDRESS_CHARS = 64
_TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class _Page:
    """Who has a page open."""

    browser: str = ""
    tab: str = ""
    is_moderator: bool = False


class Visitors:
    """The pages that are open, and what the policy lets them do. Safe to share between threads."""

    def __init__(self, policy: Policy = HOME, most: int = MAX_PAGES) -> None:
        self.policy = policy
        self._most = most
        self._pages: OrderedDict[str, _Page] = OrderedDict()
        self._guard = threading.Lock()

    @property
    def is_public(self) -> bool:
        """Whether many visit that do not know each other."""
        return self.policy.is_public

    def greet(self, page: str, token: object, tab: object = "") -> None:
        """Remember whose an open page is, and in which tab. Forgets the oldest where there are too many."""
        with self._guard:
            self._pages.pop(page, None)
            self._pages[page] = _Page(hashed(token), hashed(tab), self._is_moderator(token))
            while len(self._pages) > self._most:
                self._pages.popitem(last=False)

    def of_page(self, page: str) -> str:
        """The browser of an open page; empty where it has not said."""
        return self._of(page).browser

    def key(self, page: str) -> str:
        """What stays the same when a page is loaded anew: its tab; the page itself where it has not said."""
        return self._of(page).tab or page

    def may_change(self, token: object, maker: str) -> bool:
        """Whether the browser with this token may change what `maker` made."""
        return not self.is_public or (maker != "" and hashed(token) == maker) or self._is_moderator(token)

    def page_may_change(self, page: str, maker: str) -> bool:
        """The same of the browser that has this page open."""
        known = self._of(page)
        return not self.is_public or (maker != "" and known.browser == maker) or known.is_moderator

    def check(self, token: object, makers: Mapping[str, str]) -> None:
        """Raises BadInput where one of the runs is not this browser's to change. `makers`: by run."""
        others = [run_id for run_id, maker in makers.items() if not self.may_change(token, maker)]
        if others:
            what = "That run is" if len(makers) == 1 else f"{len(others)} of these {len(makers)} runs are"
            raise BadInput(
                f"{what} not yours. Here everybody may look at a run and export it; only the browser that made it may "
                "tag, note or delete it. Nothing was changed."
            )

    def _of(self, page: str) -> _Page:
        with self._guard:
            return self._pages.get(page, _Page())

    def _is_moderator(self, token: object) -> bool:
        return isinstance(token, str) and self.policy.is_moderator(token.partition(".")[2])


def hashed(token: object) -> str:
    """What is kept of a token; empty for what is none."""
    own = token.partition(".")[0] if isinstance(token, str) else ""
    return hashlib.sha256(own.encode()).hexdigest()[:32] if _TOKEN.fullmatch(own) else ""


def address_of(who: Any, proxies: int = 0) -> str:
    """Where a request comes from: the peer, or whom the outermost of the trusted proxies names; empty if unknown.

    One house has a whole /64 of IPv6, and counts as one address. `who`: a request as Starlette or Gradio has it.
    """
    hops = [hop.strip() for hop in _header(who, "x-forwarded-for").split(",") if hop.strip()]
    named = hops[-proxies] if 0 < proxies <= len(hops) else getattr(getattr(who, "client", None), "host", "")
    try:
        address = ipaddress.ip_address(str(named))
    except ValueError:
        return str(named or "")[:MAX_ADDRESS_CHARS]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


def _header(who: Any, name: str) -> str:
    headers = getattr(who, "headers", None)
    return str(headers.get(name) or "") if headers else ""
