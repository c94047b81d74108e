"""The page as a whole: header, tabs, theme. `build` makes it, `launch_options` says how it wants to be served."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component
from starlette.middleware import Middleware
from starlette.routing import Route

from specviz import ASSETS, routes, vitals
from specviz.api import Api
from specviz.bench import Benchmarks, Shelf
from specviz.decoding.session import Sessions
from specviz.guard import UNLIKE_ANY, Guard
from specviz.pages import files, scripts
from specviz.pages.asking import greet as greet_visitor
from specviz.pages.asking import visitor_of
from specviz.pages.bench import BenchView
from specviz.pages.compare import Compare
from specviz.pages.drawn import QUIET, drawn
from specviz.pages.inspector import Inspector
from specviz.pages.learn import Learn
from specviz.pages.playground import Playground
from specviz.pages.saved import SavedRuns
from specviz.pages.view import VIEWER, View, known, place
from specviz.policy import HOME, Policy
from specviz.showing.channel import Streams
from specviz.store import Store
from specviz.text import printable, to_wire

MAX_QUEUED = 64
RUN_AND_STOP = [["#run", "#stop"], ["#race-run", "#race-stop"], ["#bench-start", "#bench-stop"]]
"""The buttons that Ctrl+Enter and Escape press, in each view that runs something."""
MOST_SESSIONS = 1_000
"""Pages and calls of the API of which Gradio keeps what components show, 0.15 MB each; by itself, of ten thousand."""
MOST_BYTES = {"off": 2_000_000, "small": 12_000_000, "any": 160_000_000}
"""Of a body, by the files of runs that the instance takes; as JSON they are somewhat longer."""
PAPER, DARK_PAPER = "#fbfaf7", "#11161c"
"""As in assets/css; the page behind everything takes its colour from the theme only."""


def views(sessions: Sessions, store: Store) -> tuple[View, ...]:
    """All tabs in their order; the first is where a bare address leads. A new view is a file and an entry here."""
    streams = Streams()
    benchmarks = Benchmarks(sessions, store, Shelf(store.folder("bench")))
    return (
        Playground(sessions, streams, store),
        Compare(sessions, store, streams),
        Inspector(store, sessions.device),
        SavedRuns(store, streams, sessions.visitors, sessions.device),
        BenchView(benchmarks, sessions.device, store),
        Learn(sessions.device),
    )


def build(sessions: Sessions, store: Store, note: str = "") -> gr.Blocks:
    """The whole page; the note stands in its foot."""
    tabs_in_order = views(sessions, store)
    page: gr.Blocks = gr.Blocks(title="SpecViz", analytics_enabled=False)
    with page:
        gr.HTML(_header(), apply_default_css=False, elem_id="header", elem_classes=["sv-component"])
        address = _address(tabs_in_order)
        drawn("keys", "keys", known={"VIEWS": RUN_AND_STOP})
        laid_out: list[tuple[View, list[Component]]] = []
        with gr.Tabs(selected=tabs_in_order[0].id, elem_id="views") as tabs:
            for view in tabs_in_order:
                with gr.Tab(view.title, id=view.id):
                    laid_out.append((view, list(view.build())))
        drawn("foot", "foot", foot(sessions.policy, note))
        Api(sessions, store).build()
        sizes = [(view, len(components)) for view, components in laid_out]
        outputs = [tabs, address, *(component for _, components in laid_out for component in components)]

        def load(who: gr.Request) -> tuple[Any, ...]:
            return arrival(sizes, known(who.query_params))

        def greet(event: gr.EventData, who: gr.Request) -> None:
            greet_visitor(sessions.visitors, event, who)

        def go(event: gr.EventData, who: gr.Request) -> tuple[Any, ...]:
            viewer = sessions.visitors.of_page(visitor_of(who))
            return arrival(sizes, place(getattr(event, "query", "")) | {VIEWER: viewer})

        page.load(load, None, outputs, **QUIET)
        address.go(go, None, outputs, **QUIET)
        address.greet(greet, None, None, queue=False, **QUIET)
    page.queue(max_size=MAX_QUEUED)
    return page


def arrival(sizes: Sequence[tuple[View, int]], query: Mapping[str, str]) -> tuple[Any, ...]:
    """Selected tab, notice, and every view's updates for an address such as `?view=sessions&run=ID`.

    `sizes`: each view with how many components it updates.
    """
    wanted = query.get("view", sizes[0][0].id)
    is_known = any(view.id == wanted for view, _ in sizes)
    names = ", ".join(view.id for view, _ in sizes)
    notice = "" if is_known else f"There is no view {wanted[:40]!r}; there are: {names}."
    updates: list[Any] = []
    for view, size in sizes:
        updates.extend(view.arrive(query) if view.id == wanted else [gr.skip()] * size)
    return gr.Tabs(selected=wanted) if is_known else gr.skip(), notice, *updates


def foot(policy: Policy, note: str = "") -> str:
    """A note, and what visitors may ask for, in words; whether there is a way to be the moderator; in JSON."""
    said = " ".join(filter(None, (note, policy.in_words())))
    return to_wire(printable({"text": said, "moderator": policy.is_public and bool(policy.moderator)}))


def _address(views: Sequence[View]) -> gr.HTML:
    """Listens to `goto`, Back, Forward and the tabs; shows a sentence where the address leads nowhere."""
    titles = json.dumps({view.title: view.id for view in views})
    return drawn("address", "arrival", views=titles)


def launch_options(
    has_mcp: bool = False,
    hosts: Sequence[str] = (),
    frames: Sequence[str] = (),
    policy: Policy = HOME,
    store: Store | None = None,
) -> dict[str, Any]:
    """Look, and nothing that watches visitors or leaves the server; what it refuses: see `guard.Guard`."""
    own = [*routes.routes(), *scripts.routes(), *([vitals.health(store)] if store else [])]
    paths = [route.path.partition("{")[0] for route in own if isinstance(route, Route)]
    guard = Middleware(Guard, hosts=hosts, frames=frames, most_bytes=MOST_BYTES[policy.imports], own=paths)
    return {
        "theme": theme(),
        "css": files.styles(),
        "js": scripts.text("page"),
        "head": scripts.preloads(),
        "favicon_path": str(ASSETS / "logo.svg"),
        "enable_monitoring": False,
        "run_history": False,
        "footer_links": [],
        "ssr_mode": False,
        "mcp_server": has_mcp,
        "share": False,
        "max_file_size": 1,
        "state_session_capacity": MOST_SESSIONS,
        "app_kwargs": {"routes": own, "middleware": [guard], "exception_handlers": UNLIKE_ANY},
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
        '<button type="button" id="keys-switch" class="sv-theme" aria-label="Keys">'
        '<span aria-hidden="true">?</span></button>'
        '<button type="button" id="theme-switch" class="sv-theme" aria-label="Switch between light and dark">'
        '<span aria-hidden="true">◐</span></button></header>'
    )
