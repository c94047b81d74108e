"""What the server answers besides the page: the plotting library, out of assets/vendor.

No request of any page leaves this server. Of plotly.js only the part for charts with axes is served, and brought up to
date by putting another file of `plotly.js-cartesian-dist-min` there: its version stands in its name.
"""

from __future__ import annotations

import functools
import gzip

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from specviz import ASSETS

_PLOTLY = next((ASSETS / "vendor").glob("plotly-cartesian-*.min.js"))
PLOTLY_PATH = f"specviz/{_PLOTLY.name}"
"""Relative to the page, so that it is found behind a proxy too. The version is in the name: a browser may keep it."""
_YEAR_S = 31_536_000
KEPT = {"Cache-Control": f"public, max-age={_YEAR_S}, immutable", "Vary": "Accept-Encoding"}
"""Of an answer whose address changes with it."""


def routes() -> list[BaseRoute]:
    """For the server to be made with."""
    return [Route(f"/{PLOTLY_PATH}", plotly)]


def plotly(request: Request) -> Response:
    """plotly.js, compressed where the browser takes that."""
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(plotly_script(), media_type="text/javascript", headers=KEPT)
    return Response(_compressed_plotly(), media_type="text/javascript", headers={**KEPT, "Content-Encoding": "gzip"})


def plotly_script() -> str:
    """plotly.js as text, for a page without a server."""
    return _PLOTLY.read_text(encoding="utf-8")


@functools.cache
def _compressed_plotly() -> bytes:
    return gzip.compress(_PLOTLY.read_bytes(), compresslevel=6)
