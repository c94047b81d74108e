from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from scripted import HOSTILE, ScriptedDevice, ScriptedRecorder, hostile_device, started, stepped

from engine.events import Counts, SessionFinished
from specviz import ui
from specviz.decoding.session import Sessions
from specviz.pages import files
from specviz.pages.asking import catalog, pick
from specviz.pages.playground import Playground, default_settings
from specviz.pages.saved import SavedRuns
from specviz.pages.view import place
from specviz.showing.channel import Streams
from specviz.showing.rows import to_row
from specviz.store import Store, open_store
from specviz.text import first_line

SETTINGS = json.dumps({"method": "scripted", "options": {}, "sampling": {"max_new_tokens": 9}})


@pytest.fixture
def store() -> Iterator[Store]:
    with open_store(":memory:") as opened:
        yield opened


def playground(device: ScriptedDevice, recorder: Any = None) -> Playground:
    return Playground(Sessions(device, recorder or ScriptedRecorder()), Streams(), open_store(":memory:"))


def visitor(name: str = "v") -> Any:
    return SimpleNamespace(session_hash=name)


def play(page: Playground, prompt: object = "Tell a story.", settings: object = SETTINGS) -> list[dict[str, Any]]:
    return [json.loads(text) for text in page.messages(prompt, "toy", settings, True, "v")]


def save(store: Store, run_id: str = "run-1", prompt: str = "Tell a story.") -> None:
    run = store.begin(started(session_id=run_id, prompt=prompt))
    run.append(stepped(0, ["Once", " upon", " a"]))
    run.append(SessionFinished("eos", Counts(1, 4, 2, 3, 1), 30_000_000))
    assert store.flush()


def test_a_run_ends_with_a_snapshot_of_everything() -> None:
    last = play(playground(ScriptedDevice()))[-1]
    assert last["snapshot"] is True
    assert last["status"]["phase"] == "finished"
    assert [token["t"] for step in last["steps"] for token in step["k"]][:3] == ["Once", " upon", " a"]
    assert {tile["key"]: tile["value"] for tile in last["tiles"]}["audit"] == "identical"
    assert "identical" in last["spoken"]


def test_the_same_again_is_the_same_text() -> None:
    page = playground(ScriptedDevice())
    first, second = play(page)[-1], play(page)[-1]
    assert first["steps"] == second["steps"]


def test_bad_input_is_one_alert_and_nothing_else() -> None:
    (message,) = play(playground(ScriptedDevice()), prompt="")
    assert "prompt is empty" in message["alert"]
    assert set(message) == {"alert", "nonce"}


def test_a_fault_keeps_what_was_decoded() -> None:
    last = play(playground(ScriptedDevice(broken_at=2)), settings=SETTINGS)[-1]
    assert last["status"]["phase"] == "failed"
    assert len(last["steps"]) == 2
    assert "broke" in last["alert"]


def test_hostile_words_arrive_as_words() -> None:
    last = play(playground(hostile_device()), prompt=HOSTILE[0])[-1]
    shown = {token["t"] for step in last["steps"] for token in step["k"]}
    assert shown == {word.replace("\ud800", "\\ud800") for word in HOSTILE}


def test_a_bug_is_a_sentence_too() -> None:
    device = ScriptedDevice()
    device.methods = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    (message,) = play(playground(device))
    assert message["alert"].startswith("The page broke: ZeroDivisionError.")


def test_run_disables_run_and_enables_stop_until_the_end() -> None:
    page = playground(ScriptedDevice())
    updates = list(page.run("Tell a story.", "toy", SETTINGS, True, visitor()))
    assert [button.interactive for button in updates[0][1:4]] == [False, False, True]
    assert [button.interactive for button in updates[-1][1:4]] == [True, True, False]
    assert updates[0][4]["prompt"] == "Tell a story."


def test_closing_the_handler_frees_the_device() -> None:
    device = ScriptedDevice(hold=threading.Event())
    page = playground(device)
    gone = page.run("Tell a story.", "toy", SETTINGS, False, visitor("gone"))
    next(gone)
    next(gone)
    gone.close()
    assert device.hold is not None
    device.hold.set()
    assert play(page)[-1]["status"]["phase"] == "finished"


def test_stop_is_each_visitors_own() -> None:
    device = ScriptedDevice(hold=threading.Event())
    page = playground(device)
    run = page.run("Tell a story.", "toy", SETTINGS, False, visitor("one"))
    next(run)
    next(run)
    page.stop(visitor("two"))
    page.stop(visitor("one"))
    assert device.hold is not None
    device.hold.set()
    messages = [json.loads(update[0]) for update in run if isinstance(update[0], str)]
    assert messages[-1]["status"]["phase"] == "stopped"


def test_restore_gives_the_controls_back() -> None:
    asked = {"prompt": "p", "model": "toy", "settings": SETTINGS, "baseline": False}
    assert Playground.restore(asked) == ("p", "toy", SETTINGS, False)
    assert len(Playground.restore(None)) == 4


def test_an_example_is_picked_by_its_id() -> None:
    example = files.examples()[0]
    assert pick(SimpleNamespace(example=example.id)) == example.prompt  # type: ignore[arg-type]
    assert not isinstance(pick(SimpleNamespace(example="../etc")), str)  # type: ignore[arg-type]


def test_examples_cover_the_tasks_with_unique_ids() -> None:
    examples = files.examples()
    assert len({example.id for example in examples}) == len(examples)
    assert {example.task for example in examples} == {
        "Tell a story",
        "Retell with changes",
        "Repeat",
        "Repair",
        "Find and list",
        "Chat",
    }


def test_controls_are_made_from_the_option_specs() -> None:
    made = json.loads(catalog(ScriptedDevice()))
    scripted = next(method for method in made["methods"] if method["name"] == "scripted")
    depth, model = scripted["options"]
    assert (depth["low"], depth["high"], depth["unit"], depth["default"]) == (1, 8, "tokens", 3)
    assert model["choices"] == ["auto", "toy-draft"]
    assert [field["name"] for field in made["sampling"]][:2] == ["max_new_tokens", "temperature"]
    assert json.loads(default_settings(ScriptedDevice()))["method"] == "scripted"


def test_a_saved_run_opens(store: Store) -> None:
    save(store)
    message = json.loads(SavedRuns(store, Streams()).open("run-1"))
    assert [token["t"] for token in message["steps"][0]["k"]] == ["Once", " upon", " a"]
    assert message["status"]["phase"] == "finished"


@pytest.mark.parametrize("run_id", ["nobody", "", None, 3, "x" * 200, "<b>", "\ud800"])
def test_an_id_that_is_none_gets_a_sentence(store: Store, run_id: Any) -> None:
    message = json.loads(SavedRuns(store, Streams()).open(run_id))
    assert message["alert"].endswith(".")
    assert len(message["alert"]) < 200


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


def test_a_long_text_is_cut_to_its_length() -> None:
    assert [first_line(text, 5) for text in ("abcde", "abcdef", " a\n b ", "")] == ["abcde", "abcd…", "a b", ""]


def test_an_address_holds_known_keys_only() -> None:
    assert place("?view=inspect&run=a%20b&step=4&ids=a,b&x=1&__theme=dark") == {
        "view": "inspect",
        "run": "a b",
        "step": "4",
        "ids": "a,b",
    }
    assert place(None) == {}
    assert place("?run=%ff\ud800") == {"run": "\ufffd\\ud800"}


def test_a_row_without_end_has_no_ratio_it_cannot_have(store: Store) -> None:
    store.begin(started(session_id="r"))
    assert store.flush()
    row = to_row(store.get_run("r"))
    assert (row["speed"], row["efficiency"], row["verdict"]) == ("–", "–", "–")


def built(store: Store) -> gr.Blocks:
    """The page, built inside a running loop, since Gradio makes loops of its own elsewhere and leaves them open.

    The loop runs in a thread of its own: Playwright keeps one in this thread while its browser is open.
    """

    async def build() -> gr.Blocks:
        return ui.build(Sessions(ScriptedDevice(), store), store)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, build()).result()


def test_the_page_is_built_and_asks_for_nothing_outside(store: Store) -> None:
    page = built(store)
    config = json.dumps(page.get_config_file(), default=str)
    assert "fonts.googleapis" not in config
    options = ui.launch_options()
    assert options["enable_monitoring"] is False
    assert options["run_history"] is False
    assert "://" not in options["css"].replace("http://www.w3.org", "")


def test_templates_are_static(store: Store) -> None:
    """Gradio compiles what stands in `${}` or `{{}}` of a template; ours must hold neither."""
    for block in built(store).blocks.values():
        if isinstance(block, gr.HTML) and block.html_template != "${value}":
            assert block.html_template == files.TEMPLATE
    assert not {"${", "{{"} & {files.TEMPLATE[i : i + 2] for i in range(len(files.TEMPLATE))}
