"""The page as a whole: addresses lead to views, templates are static, nothing is asked outside."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gradio as gr
from scripted import ScriptedDevice, ScriptedRecorder, started, stepped

from engine.events import Counts, SessionFinished
from specviz import ui
from specviz.decoding.session import Sessions
from specviz.pages import files
from specviz.pages.playground import Playground
from specviz.pages.saved import SavedRuns
from specviz.policy import HOME
from specviz.showing.channel import Streams
from specviz.store import Store, open_store


def playground(device: ScriptedDevice, recorder: Any = None) -> Playground:
    return Playground(Sessions(device, recorder or ScriptedRecorder()), Streams(), open_store(":memory:"))


def save(store: Store, run_id: str = "run-1", prompt: str = "Tell a story.") -> None:
    run = store.begin(started(session_id=run_id, prompt=prompt))
    run.append(stepped(0, ["Once", " upon", " a"]))
    run.append(SessionFinished("eos", Counts(1, 4, 2, 3, 1), 30_000_000))
    assert store.flush()


def built(store: Store) -> gr.Blocks:
    """The page, built inside a running loop, since Gradio makes loops of its own elsewhere and leaves them open.

    The loop runs in a thread of its own: Playwright keeps one in this thread while its browser is open.
    """

    async def build() -> gr.Blocks:
        return ui.build(Sessions(ScriptedDevice(), store), store)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, build()).result()


def test_addresses_open_views(store: Store) -> None:
    save(store)
    saved = SavedRuns(store, Streams())
    sizes = [(playground(ScriptedDevice()), 0), (saved, 2)]
    tabs, notice, rows, stage = ui.arrival(sizes, {"view": "sessions", "run": "run-1"})
    assert tabs.selected == "sessions"
    assert notice == ""
    assert json.loads(rows)["open"] == "run-1"
    assert json.loads(stage)["snapshot"] is True
    tabs, notice, *_ = ui.arrival(sizes, {"view": "<script>"})
    assert not isinstance(tabs, gr.Tabs)
    assert notice == "There is no view '<script>'; there are: play, sessions."


def test_every_view_gives_one_update_for_each_of_its_components(store: Store) -> None:
    async def sizes() -> list[tuple[int, int]]:
        with gr.Blocks(), gr.Tabs():
            found = []
            for view in ui.views(Sessions(ScriptedDevice(), store), store):
                with gr.Tab(view.title, id=view.id):
                    size = len(view.build())
                found += [
                    (size, len(view.arrive(query))) for query in ({}, {"run": "nobody", "step": "<b>", "ids": ","})
                ]
            return found

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(asyncio.run, sizes()).result()
    assert [size for size, _ in found] == [updates for _, updates in found]


def test_the_foot_says_which_model_opened_and_what_visitors_may() -> None:
    told = json.loads(ui.foot(HOME, "Model story. For <b>more</b>: pip."))
    assert told == {"text": f"Model story. For <b>more</b>: pip. {HOME.in_words()}", "moderator": False}


def test_the_page_is_built_and_asks_for_nothing_outside(store: Store) -> None:
    page = built(store)
    config = json.dumps(page.get_config_file(), default=str)
    assert "fonts.googleapis" not in config
    options = ui.launch_options()
    assert options["enable_monitoring"] is False
    assert options["run_history"] is False
    assert options["state_session_capacity"] <= 1_000, "of each call of the API Gradio keeps 0.15 MB"
    assert "://" not in options["css"].replace("http://www.w3.org", "")


def test_templates_are_static(store: Store) -> None:
    """Gradio compiles what stands in `${}` or `{{}}` of a template; ours must hold neither."""
    for block in built(store).blocks.values():
        if isinstance(block, gr.HTML) and block.html_template != "${value}":
            assert block.html_template == files.TEMPLATE
    assert not {"${", "{{"} & {files.TEMPLATE[i : i + 2] for i in range(len(files.TEMPLATE))}
