from __future__ import annotations

import gzip
from importlib.resources import files

from starlette.applications import Starlette
from starlette.testclient import TestClient

from specviz import ASSETS
from specviz.routes import PLOTLY_PATH, plotly_script, routes


def test_plotly_is_served_from_here_compressed_and_kept() -> None:
    client = TestClient(Starlette(routes=routes()))
    answer = client.get(f"/{PLOTLY_PATH}", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.text.lstrip().startswith("/**")
    bare = client.get(f"/{PLOTLY_PATH}", headers={"Accept-Encoding": "identity"})
    assert bare.content == answer.content
    assert len(gzip.compress(bare.content)) < len(bare.content) / 2


def test_it_is_the_part_for_charts_with_axes_of_the_version_that_its_name_says() -> None:
    version = PLOTLY_PATH.removeprefix("specviz/plotly-cartesian-").removesuffix(".min.js")
    head = plotly_script()[:200]
    assert f"plotly.js (cartesian - minified) v{version}" in head
    assert "MIT License" in (ASSETS / "vendor" / "plotly-LICENSE.txt").read_text(encoding="utf-8")
    assert len(plotly_script()) < 1_600_000
    assert version in files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")[:40], "the pin"
