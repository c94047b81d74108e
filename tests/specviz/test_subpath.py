"""Behind a proxy on a path of its own: whatever the page names lies below that path, and is answered there."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import pytest
from fastapi import FastAPI
from scripted import ScriptedDevice
from starlette.testclient import TestClient

from specviz import ui
from specviz.decoding.session import Sessions
from specviz.store import Store

PATH = "/specviz"


@pytest.fixture
def client(store: Store) -> TestClient:
    """As the proxy of docs/hosting.md asks it: the path is cut off, and GRADIO_ROOT_PATH tells it."""

    async def build() -> FastAPI:
        page: gr.Blocks = ui.build(Sessions(ScriptedDevice(), store), store)
        options = ui.launch_options(hosts=["page.example"])
        given = {name: options[name] for name in ("theme", "css", "js", "head", "app_kwargs")}
        return gr.mount_gradio_app(FastAPI(), page, path="/", root_path=PATH, **given)

    with ThreadPoolExecutor(1) as pool:
        app = pool.submit(asyncio.run, build()).result()
    told = {"Host": "page.example", "X-Forwarded-Host": "page.example", "X-Forwarded-Proto": "https"}
    return TestClient(app, headers=told)


def test_whatever_the_page_names_lies_below_its_path_and_calls_are_looked_at(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert client.get("/config").json()["root"] == f"https://page.example{PATH}"
    named = re.findall(r"(?:src|href)=\"(/[^/\"][^\"]*)\"", page.text)
    outside = {address for address in named if not address.startswith(f"{PATH}/")}
    assert outside <= {"/manifest.json"}, "Gradio's own, without which a page cannot be installed as an app"
    slashes, own = zip(*re.findall(r"[\"'](/?)(specviz/js-\w+/\w+\.js)", page.text), strict=True)
    assert set(slashes) == {""}, "from the page's own address, whatever that is"
    assert client.get(f"/{own[0]}").status_code == 200, "also where it stands on a path of the same name"
    for name in ("generate", "nothing"):
        answer = client.post(f"/gradio_api/call/v2/{name}", json={"unknown": 1})
        assert (answer.status_code, answer.json()["detail"][:8]) == (422, "There is"), "Gradio raises for these"
