"""Runs as one HTML file that shows, replays and inspects them without a server: the app's own scripts and plotly.js.

Everything a run says stands in one JSON block without `<`; scripts set it by textContent only. The file's policy lets
nothing run but the script that is in it, and nothing load from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from specviz.pages import files, scripts
from specviz.routes import plotly_script
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.replay import replay
from specviz.showing.trace import trace
from specviz.showing.wire import Stream
from specviz.store import Reader
from specviz.text import to_wire, without_surrogates
from specviz.times import MINUTES, moment


def to_html(archive: Reader, run_ids: Iterable[str]) -> str:
    """The file. Raises StoreError."""
    runs = to_wire({"runs": [_run(archive, run_id) for run_id in run_ids]})
    script, library = _script(), plotly_script()
    policy = (
        f"default-src 'none'; script-src {_digest(library)} {_digest(script)}; style-src 'unsafe-inline'; "
        "img-src data: blob:"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>SpecViz: recorded runs</title>\n'
        f'<style>\n{files.styles()}\n</style>\n</head>\n<body class="gradio-container sv-offline">\n<main>\n{_HEADER}'
        '<div class="sv-component"><div class="sv-offline-runs" role="group" aria-label="Runs"></div>'
        '<p class="sv-offline-prompt"></p><div id="stage"></div>'
        '<section class="sv-offline-steps" aria-label="Step by step" tabindex="-1"><h2>Step by step</h2></section>'
        "</div>\n</main>\n"
        f'<script type="application/json" id="runs">{runs}</script>\n'
        f"<script>{library}</script>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _run(archive: Reader, run_id: str) -> dict[str, Any]:
    state = fold_all(ViewState(), replay(archive, run_id))
    started = state.started
    assert started is not None  # a stored run has its first event
    whence = state.origin.origin if state.origin else ""
    imported = " · imported" if state.is_claim else ""
    title = f"{started.method} · {started.model} · {moment(started.created_at, MINUTES)}{imported}"
    told = {"message": json.loads(Stream().snapshot(state)), "trace": trace(state.events, whence)}
    return {"title": without_surrogates(title), "prompt": without_surrogates(started.prompt)} | told


def _script() -> str:
    """One function, so that the modules' own names stay inside it."""
    start = f"{scripts.mount('offline')}({{ element: document.getElementById('stage') }});"
    return f"(() => {{\n'use strict';\n{scripts.joined('offline')}{start}\n({scripts.text('page')})();\n}})();"


_HEADER = (
    '<header class="sv-header"><h1 class="sv-name">SpecViz</h1><p class="sv-tagline">Recorded runs of speculative '
    'decoding</p><button type="button" id="theme-switch" class="sv-theme" aria-label="Switch between light and dark">'
    '<span aria-hidden="true">◐</span></button></header>'
)
