"""The page as a whole: header, tabs, theme. `build` makes it, `launch_options` says how it wants to be served."""

from __future__ import annotations

from typing import Any

import gradio as gr

from specviz.pages import files
from specviz.pages.playground import Playground
from specviz.pages.saved import SavedRuns
from specviz.session import Sessions
from specviz.store import Store
from specviz.wire import Streams

TABS = {"play": "Playground", "sessions": "Sessions"}
MAX_QUEUED = 64
PAPER, DARK_PAPER = "#fbfaf7", "#11161c"
"""As in assets/css; the page behind everything takes its colour from the theme only."""


def build(sessions: Sessions, store: Store) -> gr.Blocks:
    """The whole page."""
    streams = Streams()
    saved = SavedRuns(store, streams)
    page: gr.Blocks = gr.Blocks(title="SpecViz", analytics_enabled=False)
    with page:
        gr.HTML(_header(), apply_default_css=False, elem_id="header", elem_classes=["sv-component"])
        with gr.Tabs(selected="play", elem_id="views") as tabs:
            with gr.Tab(TABS["play"], id="play"):
                Playground(sessions, streams).build()
            with gr.Tab(TABS["sessions"], id="sessions") as sessions_tab:
                table, stage = saved.build()

        def arrive(who: gr.Request) -> tuple[Any, ...]:
            """Open the view that the address names."""
            return arrival(saved, dict(who.query_params))

        quiet: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
        page.load(arrive, None, [tabs, table, stage], **quiet)
        sessions_tab.select(saved.rows, None, [table], **quiet)
    page.queue(max_size=MAX_QUEUED)
    return page


def arrival(saved: SavedRuns, query: dict[str, str]) -> tuple[Any, ...]:
    """Tab, list and stage for an address such as `?view=sessions&run=ID`."""
    run_id = query.get("run", "")
    if query.get("view") != "sessions":
        return gr.skip(), saved.rows(), gr.skip()
    return gr.Tabs(selected="sessions"), saved.rows(run_id), saved.open(run_id) if run_id else gr.skip()


def launch_options() -> dict[str, Any]:
    """Look, and nothing that watches visitors or leaves the server."""
    return {
        "theme": theme(),
        "css": files.styles(),
        "js": files.script("page"),
        "favicon_path": str(files.ASSETS / "logo.svg"),
        "enable_monitoring": False,
        "run_history": False,
        "footer_links": [],
        "ssr_mode": False,
        "mcp_server": False,
        "share": False,
    }


def theme() -> gr.themes.Base:
    """System fonts, ink on paper."""
    sans = ["-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Liberation Sans", "system-ui", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace"]
    base = gr.themes.Base(
        primary_hue=gr.themes.colors.slate,
        neutral_hue=gr.themes.colors.slate,
        font=[gr.themes.Font(name) for name in sans],
        font_mono=[gr.themes.Font(name) for name in mono],
        radius_size=gr.themes.sizes.radius_sm,
    )
    return base.set(body_background_fill=PAPER, body_background_fill_dark=DARK_PAPER)


def _header() -> str:
    return (
        f'<header class="sv-header"><span class="sv-logo">{files.logo()}</span>'
        '<h1 class="sv-name">SpecViz</h1>'
        '<p class="sv-tagline">Speculative decoding, token by token</p>'
        '<button type="button" id="theme-switch" class="sv-theme" aria-label="Switch between light and dark">'
        '<span aria-hidden="true">◐</span></button></header>'
    )
