from __future__ import annotations

import gzip

from starlette.applications import Starlette
from starlette.testclient import TestClient

from specviz.routes import PLOTLY_PATH, routes


def test_plotly_is_served_from_here_compressed_and_kept() -> None:
    client = TestClient(Starlette(routes=routes()))
    answer = client.get(f"/{PLOTLY_PATH}", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.text.lstrip().startswith("/**")
    bare = client.get(f"/{PLOTLY_PATH}", headers={"Accept-Encoding": "identity"})
    assert bare.content == answer.content
    assert len(gzip.compress(bare.content)) < len(bare.content) / 2
