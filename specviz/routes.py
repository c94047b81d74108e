"""What the server answers besides the page: the plotting library, out of the installed package.

No request of any page leaves this server, and no copy of the library lies in the repository.
"""

from __future__ import annotations

import functools
import gzip
from importlib.metadata import version
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

PLOTLY_PATH = f"specviz/plotly-{version('plotly')}.min.js"
"""Relative to the page, so that it is found behind a proxy too. The version is in the name: a browser may keep it."""
_YEAR_S = 31_536_000


def routes() -> list[BaseRoute]:
    """For the server to be made with."""
    return [Route(f"/{PLOTLY_PATH}", plotly)]


def plotly(request: Request) -> Response:
    """plotly.js, compressed where the browser takes that."""
    headers = {"Cache-Control": f"public, max-age={_YEAR_S}, immutable", "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(_plotly(), media_type="text/javascript", headers=headers)
    return Response(_compressed_plotly(), media_type="text/javascript", headers={**headers, "Content-Encoding": "gzip"})


def _plotly() -> bytes:
    return files("plotly").joinpath("package_data/plotly.min.js").read_bytes()


@functools.cache
def _compressed_plotly() -> bytes:
    return gzip.compress(_plotly(), compresslevel=6)
