"""The endpoints of docs/api.md on the real app, by the example that stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from specviz.archive import lines

ROOT = Path(__file__).resolve().parents[2]
ENDPOINTS = {"/generate", "/compare", "/tokens", "/list", "/get", "/export"}


@pytest.fixture
def client(server: str) -> Any:
    from gradio_client import Client

    return Client(server, verbose=False)


def test_the_example_of_the_docs_runs(server: str) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
    found: dict[str, Any] = {}
    exec(example.replace("http://127.0.0.1:7860", server), found)
    assert found["run"]["status"] == "finished"
    assert found["run"]["emitted"] <= 24
    assert found["run"]["verdict"] in ("identical", "near-tie")
    assert found["run"]["speedup"] > 0
    assert [lane["method"] for lane in found["race"]["runs"]] == ["plain", "draft_model", "prompt_lookup"]
    assert sorted(found["race"]["order"]) == ["draft_model", "plain", "prompt_lookup"]
    assert all(lane["group_id"] == found["race"]["group_id"] for lane in found["race"]["runs"])
    newest = found["newest"][0]
    assert {name: found["same"][name] for name in newest} == newest
    assert [copy.run_id for copy in lines.from_lines(found["file"])] == [found["same"]["id"]]


def test_every_named_endpoint_is_documented(client: Any) -> None:
    named = set(client.view_api(return_format="dict", print_info=False)["named_endpoints"])
    assert named >= ENDPOINTS
    documented = set(re.findall(r"^\| `(/\w+)`", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE))
    assert documented == ENDPOINTS


@pytest.mark.parametrize(
    ("given", "api_name", "says"),
    [
        (("Hi", "nonsense"), "/generate", "there are: "),
        (("", "plain"), "/generate", "prompt is empty"),
        (("nobody",), "/get", "There is no run 'nobody'"),
        ((["nobody"], "jsonl"), "/export", "There is no run 'nobody'"),
        (("", "", "", 0), "/list", "from 1 to 200"),
        (("Hi", ["plain", "nonsense"]), "/compare", "there are: "),
    ],
)
def test_what_cannot_be_used_is_a_sentence(client: Any, given: tuple[Any, ...], api_name: str, says: str) -> None:
    with pytest.raises(Exception, match=says):
        client.predict(*given, api_name=api_name)
