"""What the server refuses before anything reads it, and what it says with every answer.

A page of another site must not talk to this server in its visitor's name (cross-site requests), nor pretend to be its
page under a name that it made point here (DNS rebinding); and nobody fills memory or disk with a body. Refusals are one
sentence. Knows nothing of what is asked.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from specviz.mishaps import broke

MOST_BYTES = 2_000_000
"""Of a body that carries no file."""
_READING = ("GET", "HEAD", "OPTIONS")
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'"
)
"""Gradio compiles templates in the page, hence unsafe-eval. Nothing is loaded from, or told to, another host."""


class Refused(Exception):
    """A request that goes no further: its status, and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Guard:
    """ASGI middleware around the page."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str] = (),
        frames: Sequence[str] = (),
        most_bytes: int = MOST_BYTES,
        own: Sequence[str] = (),
    ) -> None:
        """`hosts`: names under which the page is reached, beside any numeric address; their pages may ask too.

        `frames`: sites that may show the page in a frame, such as https://example.org. `most_bytes`: of a body. `own`:
        how the paths of our own routes begin.
        """
        self._own = tuple(own)
        self._app, self._hosts, self._most_bytes = app, {host.lower() for host in hosts}, most_bytes
        self._names = self._hosts | own_names()
        self._headers = {
            "Content-Security-Policy": f"{_POLICY}; frame-ancestors 'self' {' '.join(frames)}".rstrip(),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on with a limited body and our headers on the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def said(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(self._with_headers(message))

        try:
            self._check(scope)
            await self._app(self._with_its_path(scope), self._limited(receive), said)
        except Refused as refusal:
            if has_begun:
                raise
            await JSONResponse({"detail": str(refusal)}, refusal.status)(scope, receive, said)
        except Exception as error:
            if not has_begun:
                await JSONResponse({"detail": broke("This request")}, 500)(scope, receive, said)
            elif isinstance(error.__cause__, HTTPException):  # Gradio has told it as the stream's last event
                await send({"type": "http.response.body"})
            else:
                raise

    def _with_its_path(self, scope: Scope) -> Scope:
        """What a proxy cut off our own routes' paths put back, as the standard has it.

        Where the page stands on /specviz, Starlette would take the beginning of /specviz/health for that.
        """
        root = scope.get("root_path", "")
        is_cut = bool(root) and scope["path"].startswith(self._own)
        return {**scope, "path": root + scope["path"]} if is_cut else scope

    def _check(self, scope: Scope) -> None:
        """Raises Refused."""
        headers, path = Headers(scope=scope), str(scope["path"])
        self._check_host(headers.get("host", ""))
        self._check_origin(headers, scope["method"])
        if path.rstrip("/").endswith("/upload"):
            raise Refused(403, "This page takes no uploads.")
        if scope["method"] not in _READING:
            _check_type(headers, path)
        if int(length) > self._most_bytes if (length := headers.get("content-length", "")).isdigit() else False:
            raise self._too_large()

    def _check_host(self, given: str) -> None:
        host = _host(f"//{given}")
        if not host or not (_is_number(host) or host in self._names):
            raise Refused(
                421,
                f"This server does not answer as {host[:80]!r}. If it should, start it with --hosts {host[:80]}.",
            )

    def _check_origin(self, headers: Headers, method: str) -> None:
        origin, host = headers.get("origin"), headers.get("host", "")
        is_own = origin is None or _is_of(origin, host) or _host(origin) in self._hosts
        is_sent_across = method not in _READING and headers.get("sec-fetch-site") == "cross-site" and origin is None
        if not is_own or is_sent_across:
            raise Refused(403, "Another site's page asked for this. Only this server's own page may.")

    def _limited(self, receive: Receive) -> Receive:
        """Raises Refused from a body's first byte too many on, however long it said it would be."""
        num_bytes = 0

        async def receive_some() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self._most_bytes:
                raise self._too_large()
            return message

        return receive_some

    def _too_large(self) -> Refused:
        return Refused(413, f"That is more than this server takes at once, {self._most_bytes / 1e6:g} MB.")

    def _with_headers(self, message: Message) -> Message:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(self._headers)
            if headers.get("content-type", "").startswith("text/event-stream"):
                headers["X-Accel-Buffering"] = "no"  # nginx hands events on as they come
        return message


async def unlike_any(request: Request, error: Exception) -> JSONResponse:
    """Of a call by name: no such endpoint, or other arguments. Gradio raises for these as if the server broke."""
    if "/call/v2/" not in request.url.path:
        raise error
    told = "There is no such endpoint, or it has other arguments; /gradio_api/info says which there are."
    return JSONResponse({"detail": told}, 422)


UNLIKE_ANY = dict.fromkeys((KeyError, TypeError), unlike_any)
"""Handlers, by what is raised."""


def own_names() -> set[str]:
    """What this machine is called at home: no other site's page comes from there."""
    name = socket.gethostname().lower()
    return {"localhost", name, f"{name}.local"} - {""}


def _check_type(headers: Headers, path: str) -> None:
    """A form of another site can send a few types without asking first; only signing in has one of them."""
    given = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = given in ("multipart/form-data", "application/x-www-form-urlencoded")
    if headers.get("content-length") == "0" or given == "application/json":
        return
    if not (is_form and path.rstrip("/").endswith("/login")):
        raise Refused(415, "A request's body is JSON here: Content-Type: application/json.")


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_of(origin: str, host: str) -> bool:
    """Whether an origin is the page's own. A proxy may have dropped the port."""
    try:
        ours, theirs = urlsplit(f"//{host}"), urlsplit(origin)
        return bool(theirs.hostname) and theirs.hostname == ours.hostname and ours.port in (None, theirs.port)
    except ValueError:
        return False
