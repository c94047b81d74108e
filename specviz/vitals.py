"""Whether an instance is well: a word for everybody, numbers for whoever runs it.

`/specviz/health` on the page's port says ok or trouble and no more. The numbers, in Prometheus' text format, stand on a
port of their own that only this machine reaches: how many runs there are and wait, nothing of what is in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from specviz.store import Store, StoreError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from specviz.decoding.session import Sessions

HOST = "127.0.0.1"
HEALTH_PATH = "specviz/health"
_FRESH = {"Cache-Control": "no-store"}


def health(store: Store) -> BaseRoute:
    """Answers 200 where runs are read and saved, else 503."""

    def answer(_: Request) -> Response:
        try:
            store.count_runs(status="running")
            is_well = store.problem is None
        except StoreError:
            is_well = False
        return JSONResponse({"status": "ok" if is_well else "trouble"}, 200 if is_well else 503, _FRESH)

    return Route(f"/{HEALTH_PATH}", answer)


def numbers(store: Store, sessions: Sessions) -> Iterator[tuple[str, str, float]]:
    """Name, what it is, value. Raises StoreError."""
    for status, count in store.count_by_status().items():
        yield f'specviz_runs{{status="{status}"}}', "Saved runs.", count
    yield (
        "specviz_places_taken",
        "Places of the waiting line that are taken, the running one among them.",
        sessions.num_places,
    )
    yield "specviz_store_waiting_events", "Events that are not yet in the database.", store.num_waiting
    yield "specviz_store_in_trouble", "1 where something is not saved.", float(store.problem is not None)


def as_text(store: Store, sessions: Sessions) -> str:
    """All numbers, each kind with its head; where the store cannot be read, that alone."""
    try:
        found = list(numbers(store, sessions))
    except StoreError:
        found = [("specviz_store_in_trouble", "1 where something is not saved.", 1.0)]
    lines: dict[str, None] = {}
    for name, about, value in found:
        kind = name.partition("{")[0]
        lines |= dict.fromkeys((f"# HELP {kind} {about}", f"# TYPE {kind} gauge", f"{name} {value:g}"))
    return "\n".join([*lines, ""])


def serve(port: int, store: Store, sessions: Sessions) -> WSGIServer:
    """Answer in the background until `server_close`. Raises OSError where the port is taken."""

    def answer(environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
        start("200 OK", [("Content-Type", "text/plain; version=0.0.4")])
        return [as_text(store, sessions).encode()]

    server = make_server(HOST, port, answer, handler_class=_Quiet)
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: it is asked every few seconds."""
