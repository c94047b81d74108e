"""What goes no further: foreign names, other sites' pages, bodies too large or of another kind; headers of answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from specviz.guard import UNLIKE_ANY, Guard, own_names

HERE = "http://127.0.0.1:7860"
EVIL = "https://evil.example"


async def echo(request: Request) -> Response:
    return PlainTextResponse(f"{len(await request.body())}")


async def events(request: Request) -> Response:
    return StreamingResponse(iter(["data: 1\n\n"]), media_type="text/event-stream")


async def broken(request: Request) -> Response:
    raise KeyError("/home/me/secret.py")


async def refused(request: Request) -> Response:
    def told() -> Iterator[str]:
        yield "event: error\n\n"
        raise HTTPException(404)

    return StreamingResponse(told(), media_type="text/event-stream")


def client(base_url: str = HERE, **options: Any) -> TestClient:
    """Of a server whose page is at 127.0.0.1:7860 and, by a proxy, at page.example."""
    guard = Middleware(Guard, hosts=["page.example"], most_bytes=1_000, **options)
    routes = [Route("/{path:path}", echo, methods=["GET", "POST"])]
    own = [
        Route("/events", events),
        Route("/call/v2/{name}", broken),
        Route("/broken", broken),
        Route("/refused", refused),
    ]
    app = Starlette(routes=[*own, *routes], middleware=[guard], exception_handlers=UNLIKE_ANY)
    return TestClient(app, base_url=base_url)


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("127.0.0.1:7860", True),
        ("192.168.1.5:7860", True),
        ("[::1]:7860", True),
        ("localhost", True),
        ("Page.Example", True),
        (min(own_names()), True),
        ("evil.example", False),
        ("page.example.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("[", False),
    ],
)
def test_a_name_that_somebody_made_point_here_is_not_answered(host: str, is_known: bool) -> None:
    answer = client().get("/", headers={"Host": host})
    assert answer.status_code == (200 if is_known else 421)
    if not is_known:
        assert "does not answer as" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("host", "origin", "is_own"),
    [
        ("127.0.0.1:7860", HERE, True),
        ("127.0.0.1:7860", EVIL, False),
        ("127.0.0.1:7860", "null", False),
        ("127.0.0.1:7860", "http://127.0.0.1:9000", False),
        ("127.0.0.1:7860", "http://localhost:7860", False),
        ("page.example", "https://page.example", True),
        ("page.example", "https://page.example:8443", True),
        ("127.0.0.1:7860", "https://page.example", True),
        ("page.example", "https://page.example.evil.example", False),
        ("127.0.0.1:7860", "http://[", False),
        ("localhost:7860", "http://localhost:3000", False),
    ],
)
def test_another_sites_page_reads_and_sends_nothing(host: str, origin: str, is_own: bool) -> None:
    headers = {"Host": host, "Origin": origin}
    for answer in (client().get("/", headers=headers), client().post("/", json={}, headers=headers)):
        assert answer.status_code == (200 if is_own else 403)


def test_a_form_of_another_site_that_names_no_origin_is_refused_too() -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert client().post("/", json={}, headers=headers).status_code == 403
    assert client().get("/", headers=headers).status_code == 200, "a link from another site leads here"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_needs_no_leave_to_be_sent_across_sites_is_not_read(kind: str) -> None:
    answer = client().post("/gradio_api/component_server", content=b"{}", headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert client().post("/any", content=b"{}", headers={"Content-Type": "Application/JSON; x=y"}).status_code == 200
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client().post("/login", content=b"a=b", headers=form).status_code == 200


def test_a_body_has_its_limit_whatever_it_says_of_its_length() -> None:
    json = {"Content-Type": "application/json"}
    assert client().post("/", content=b"x" * 1_000, headers=json).text == "1000"
    for body in (b"x" * 1_001, iter([b"x" * 600, b"x" * 600])):
        answer = client().post("/", content=body, headers=json)
        assert (answer.status_code, answer.json()["detail"][:14]) == (413, "That is more t")


def test_what_breaks_is_one_sentence_and_its_text_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    answer = client().get("/broken")
    told = answer.json()["detail"]
    assert (answer.status_code, told[:20]) == (500, "This request broke; ")
    assert "secret" not in answer.text
    assert told.removesuffix(".")[-8:] in caplog.text
    assert "secret" in caplog.text


def test_a_stream_that_ends_with_a_refusal_ends_whole() -> None:
    """Gradio answers who asks for the events of an unknown run so."""
    answer = client().get("/refused")
    assert (answer.status_code, answer.text) == (200, "event: error\n\n")


def test_a_call_that_no_endpoint_takes_is_the_askers_mistake() -> None:
    answer = client().get("/call/v2/nothing")
    assert (answer.status_code, answer.json()["detail"][:25]) == (422, "There is no such endpoint")


def test_nothing_is_uploaded() -> None:
    files = {"files": b"x"}
    for path in ("/gradio_api/upload", "/upload/"):
        assert client().post(path, files=files).json() == {"detail": "This page takes no uploads."}


def test_every_answer_says_what_a_browser_may_do_with_it() -> None:
    for answer in (client(frames=["https://hub.example"]).get("/"), client(base_url=EVIL).get("/")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        policy = answer.headers["Content-Security-Policy"]
        assert all(part in policy for part in ("connect-src 'self'", "object-src 'none'", "base-uri 'self'"))
    assert client().get("/").headers["Content-Security-Policy"].endswith("frame-ancestors 'self'")
    framed = client(frames=["https://hub.example"]).get("/").headers["Content-Security-Policy"]
    assert framed.endswith("frame-ancestors 'self' https://hub.example")


def test_a_proxy_is_told_to_hand_events_on_as_they_come() -> None:
    assert client().get("/events").headers["X-Accel-Buffering"] == "no"
    assert "X-Accel-Buffering" not in client().get("/").headers


def test_our_own_routes_are_found_where_the_page_stands_on_a_path_of_the_same_name() -> None:
    guard = Middleware(Guard, own=["/specviz/health", "/specviz/js-1/"])
    routes = [Route("/specviz/health", echo), Route("/specviz/js-1/{name}", echo), Route("/gradio_api/info", echo)]
    app = Starlette(routes=routes, middleware=[guard])
    for root in ("", "/specviz", "/other"):
        behind = TestClient(app, base_url=HERE, root_path=root)
        for path in ("/specviz/health", "/specviz/js-1/a.js", "/gradio_api/info"):
            assert behind.get(path).status_code == 200, (root, path)
