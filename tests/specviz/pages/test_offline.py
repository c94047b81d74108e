"""Runs as one HTML file: no text of theirs is markup, nothing is loaded."""

from __future__ import annotations

import json
import re

from stored import finished, save, session, stepped

from specviz.pages import offline
from specviz.routes import plotly_script
from specviz.showing.trace import trace
from specviz.store import Store
from specviz.text import to_wire

HOSTILE = "</script><img src=x onerror=alert(1)> {{x}} ${y} \u202e <!-- \ud800"


def test_the_page_holds_no_text_of_a_run_as_markup(store: Store) -> None:
    events = session("a", prompt=HOSTILE, model=HOSTILE)
    save(store, [*events[:2], stepped(0, HOSTILE), finished()])
    page = offline.to_html(store, ["a"])
    assert "<img" not in page.replace(plotly_script(), "")
    own = page.replace(plotly_script(), "")
    assert own.count("<script") == own.count("</script>") == 3
    block = re.search(r'<script type="application/json" id="runs">(.*?)</script>', page)
    assert block
    (run,) = json.loads(block[1])["runs"]
    assert run["prompt"].startswith("</script><img src=x")
    assert run["message"]["status"]["phase"] == "finished"
    assert run["trace"] == json.loads(to_wire(trace(store.events("a"), "measured here")))


def test_the_page_may_load_nothing(store: Store) -> None:
    save(store, session("a"))
    page = offline.to_html(store, ["a"])
    assert "default-src 'none'" in page
    outside = page.replace(plotly_script(), "").replace("http://www.w3.org/2000/svg", "")
    assert "://" not in outside
    assert "@import" not in outside
