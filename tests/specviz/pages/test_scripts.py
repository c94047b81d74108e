"""Modules are sent once, compressed and kept; joined they are one text that needs no other."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from specviz.pages import scripts


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=scripts.routes()))


def test_every_module_is_served_compressed_and_kept(client: TestClient) -> None:
    for name in scripts.served():
        answer = client.get("/" + scripts.address(name), headers={"Accept-Encoding": "gzip"})
        assert (answer.status_code, answer.headers["content-encoding"]) == (200, "gzip"), name
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"]
        assert answer.text == scripts.text(name)
    bare = client.get("/" + scripts.address("dom"), headers={"Accept-Encoding": "identity"})
    assert bare.text == scripts.text("dom")


def test_what_is_no_module_of_the_page_is_not_there(client: TestClient) -> None:
    for name in ("page", "offline", "nothing", "..%2fpalette", "component.d"):
        assert client.get("/" + scripts.address(name)).status_code == 404


def test_the_address_changes_with_what_a_module_says(monkeypatch: pytest.MonkeyPatch) -> None:
    before = scripts.address("dom")
    monkeypatch.setattr(scripts, "text", lambda name: name)
    scripts._folder.cache_clear()
    assert scripts.address("dom") != before
    monkeypatch.undo()
    scripts._folder.cache_clear()
    assert scripts.address("dom") == before


def test_imports_lead_to_modules_that_export_those_names() -> None:
    for name in {*scripts.served(), "offline"}:
        for names, home in re.findall(r"^import \{ (.*) \} from '\./(\w+)\.js';$", scripts.text(name), re.MULTILINE):
            for each in names.split(", "):
                found = rf"^export (async )?(function|const|let) {each}\b"
                assert re.search(found, scripts.text(home), re.MULTILINE), f"{name} wants {each} of {home}"


def test_joined_each_module_stands_once_behind_what_it_needs() -> None:
    order = scripts.with_imports("offline")
    assert len(order) == len(set(order))
    assert order[-1] == "offline"
    assert order.index("dom") < order.index("stage") < order.index("player")
    whole = scripts.joined("offline")
    assert not re.search(r"^(import|export)\b", whole, re.MULTILINE)
    assert whole.count("function makePlot(") == 1


def test_a_component_is_sent_no_script_but_the_call_of_one() -> None:
    told = scripts.on_load("plotview", FILENAME="</script>", HEIGHT=3)
    assert scripts.address("plotview") in told
    assert "'pick'" in told, "Gradio finds the events of a component in its text"
    assert "<" not in told
    assert len(told) < 500


def test_all_that_a_page_may_ask_for_is_preloaded() -> None:
    assert re.findall(r'href="([^"]+)"', scripts.preloads()) == [scripts.address(name) for name in scripts.served()]
