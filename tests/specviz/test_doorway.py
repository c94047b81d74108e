"""All that a visitor can ask for passes the policy: every endpoint and server function of the built page, one by one.

A new endpoint is named here, with what it is asked for beyond the policy, or as one that only reads.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from benching import ASKED, IDS, benchmarks
from scripted import PATIENCE_S, ScriptedDevice
from stored import session

from engine.errors import BadInput
from specviz import ui
from specviz.bench import Benchmarks
from specviz.decoding.job import Work
from specviz.decoding.session import Sessions
from specviz.decoding.visitors import Visitors, hashed
from specviz.policy import PUBLIC
from specviz.store import Store, open_store

MINE, OTHERS = "a" * 32, "b" * 32
WHO = SimpleNamespace(session_hash="page", client=SimpleNamespace(host="203.0.113.7"), headers={})
READING = {
    *("Playground.restore", "Playground.read", "Playground.go_on", "Playground.join", "Playground.stop"),
    *("Compare.join", "Compare.stop", "follow_catalog.<locals>.told", "pick", "follow_model.<locals>.<lambda>"),
    *("BenchView.open", "BenchView.poll", "BenchView.estimate", "BenchView.build.<locals>.<lambda>"),
    *("Api.read_prompt", "Api.list_runs", "Api.get_run", "Api.export_runs"),
    *("build.<locals>.load", "build.<locals>.go", "build.<locals>.greet"),
    *("stage asked", "stage saved", "stage snapshot", "race-stage snapshot", "race-earlier earlier_races"),
    *("inspector asked", "inspector read", "runs export_runs", "runs find_runs", "saved-stage asked"),
    *("saved-stage snapshot", "bench-board beside", "bench-board export", "learn method_page", "learn read"),
}
"""Nothing runs, is kept or changes by these; or only the asking page's own run, which it stops."""


def named(function: Callable[..., Any]) -> str:
    """A view's own and what it takes over alike, by the view's name."""
    view = getattr(function, "__self__", None)
    return function.__qualname__ if view is None else f"{type(view).__name__}.{function.__name__}"


def lanes(**sampling: Any) -> str:
    return json.dumps({"lanes": [{"method": "scripted", "options": {}}], "sampling": sampling})


def form(**sampling: Any) -> str:
    return json.dumps({"method": "scripted", "options": {}, "sampling": sampling})


def bench(tokens: int = 8, model: str = "toy") -> tuple[Any, ...]:
    return (WHO, model, ["story"], 2, "", ["scripted"], "", 1, tokens, 0)


TOO_LONG: dict[str, tuple[Any, ...]] = {
    "Playground.run": ("Hi", "toy", form(max_new_tokens=513), False, "private", WHO),
    "Compare.run": ("Hi", "toy", lanes(max_new_tokens=513), "private", WHO),
    "Api.generate": ("Hi", "scripted", 513),
    "Api.compare": ("Hi", ["scripted"], 513),
    "BenchView.start": bench(tokens=513),
}
NOT_OFFERED: dict[str, tuple[Any, ...]] = {
    "Playground.run": ("Hi", "Qwen/Qwen3-8B", form(), False, "private", WHO),
    "Compare.run": ("Hi", "Qwen/Qwen3-8B", lanes(), "private", WHO),
    "Api.generate": ("Hi", "scripted", 8, 0.0, 0, None, True, "Qwen/Qwen3-8B"),
    "Api.compare": ("Hi", ["scripted"], 8, 0.0, 0, "Qwen/Qwen3-8B"),
    "BenchView.start": bench(model="Qwen/Qwen3-8B"),
}
SHORT: dict[str, tuple[Any, ...]] = {
    "Playground.run": ("Hi", "toy", form(max_new_tokens=8), False, "private", WHO),
    "Compare.run": ("Hi", "toy", lanes(max_new_tokens=8), "private", WHO),
    "Api.generate": (
        "Hi",
        "scripted",
        8,
        *(0.0, 0, None, False, "", "", None, "chat", "auto", None, "auto", 0.0, None, "", WHO),
    ),
    "Api.compare": ("Hi", ["scripted"], 8, *(0.0, 0, "", "", None, "chat", "auto", None, "auto", 0.0, None, "", WHO)),
}
WITH_A_PAGE = {"Playground.run", "Compare.run"}
CHANGING = {
    "runs import_runs": ({"text": "{}", "visitor": MINE}, "takes no files"),
    "runs mark_runs": (json.dumps({"action": "delete", "ids": ["others"], "visitor": MINE}), "not yours"),
    "bench-board change": ({"do": "delete", "id": IDS[0], "visitor": MINE}, "moderator"),
    "BenchView.resume": ((SimpleNamespace(id=IDS[0]), WHO), "measures no benchmarks"),
    "BenchView.stop": ((WHO,), "not yours"),
}


@dataclass
class Built:
    """The page of a public instance."""

    page: gr.Blocks
    sessions: Sessions
    device: ScriptedDevice
    store: Store

    @property
    def benchmarks(self) -> Benchmarks:
        """Behind its view."""
        return self.endpoints()["BenchView.stop"].__self__.benchmarks  # type: ignore[attr-defined, no-any-return]

    def endpoints(self) -> dict[str, Callable[..., Any]]:
        """By name, those of a view's own buttons and of programs; and server functions by component."""
        found = {named(fn.fn): fn.fn for fn in self.page.fns.values() if fn.fn is not None}
        for block in self.page.blocks.values():
            for name, function in vars(block).items():
                if getattr(function, "_is_server_fn", False):
                    found[f"{block.elem_id} {name}"] = function
        return found

    def answer(self, name: str, given: tuple[Any, ...]) -> str:
        """All that it says, as text."""
        try:
            found = self.endpoints()[name](*given)
            return str(list(found) if isinstance(found, Iterator) else found)
        except gr.Error as error:
            return str(error)


@pytest.fixture(scope="module")
def page() -> Iterator[Built]:
    """Built once: that takes longest. A run and a benchmark of others are there."""
    device = ScriptedDevice(most_tokens=PUBLIC.max_tokens)
    with open_store(":memory:") as store, ThreadPoolExecutor(1) as pool:
        sessions = Sessions(device, store, Visitors(PUBLIC))

        async def build() -> gr.Blocks:
            return ui.build(sessions, store)

        found = Built(pool.submit(asyncio.run, build()).result(), sessions, device, store)
        first, *rest = session("others")
        run = store.begin(first, visitor=hashed(OTHERS))
        for event in rest:
            run.append(event)
        found.benchmarks.shelf.add(IDS[0], ASKED, "2026-01-01T00:00:00+00:00", hashed(OTHERS))
        yield found


@pytest.fixture
def public(page: Built) -> Built:
    """Nothing has run on it."""
    page.device.log.clear()
    return page


def test_every_endpoint_is_known_here(public: Built) -> None:
    found = {name for name in public.endpoints() if name != "js_fn"}
    assert found == READING | TOO_LONG.keys() | CHANGING.keys()


@pytest.mark.parametrize("name", TOO_LONG)
def test_nobody_is_answered_longer_than_the_policy_says(public: Built, name: str) -> None:
    said = public.answer(name, TOO_LONG[name])
    assert "at most 512" in said or "measures no benchmarks" in said, said
    assert not public.device.log


@pytest.mark.parametrize("name", NOT_OFFERED)
def test_nobody_loads_a_model_that_is_not_on_offer(public: Built, name: str) -> None:
    said = public.answer(name, NOT_OFFERED[name])
    assert "Unknown model 'Qwen/Qwen3-8B'; there are: big, toy." in said.replace("\\", "")
    assert not public.device.log


@pytest.mark.parametrize("name", SHORT)
def test_whoever_has_all_places_waits_until_one_is_free(public: Built, name: str) -> None:
    public.sessions.visitors.greet("page", MINE)
    held = threading.Event()
    waiting = Work((), lambda desk: held.wait(PATIENCE_S))
    pages = {"one": MINE, "two": MINE} if name in WITH_A_PAGE else {"one": "", "two": ""}
    for other, token in pages.items():
        public.sessions.visitors.greet(other, token)
    works = [public.sessions.perform(waiting, other, address="203.0.113.7") for other in pages]
    for work in works:
        next(work)
    assert "Each visitor has 2 places in the line" in public.answer(name, SHORT[name])
    held.set()
    for work in works:
        list(work)
    assert "has 2 places" not in public.answer(name, SHORT[name])


@pytest.mark.parametrize("name", CHANGING)
def test_nobody_changes_what_is_anothers(public: Built, name: str) -> None:
    public.store.flush()
    given, says = CHANGING[name]
    before = public.store.get_run("others"), public.benchmarks.shelf.entries()
    assert says in public.answer(name, given if isinstance(given, tuple) else (given,))
    assert (public.store.get_run("others"), public.benchmarks.shelf.entries()) == before
    assert not public.benchmarks.progress.is_going_on


def test_a_benchmark_is_its_starters_and_the_moderators(tmp_path: Path) -> None:
    found = benchmarks(tmp_path)
    found.visitors.policy = replace(PUBLIC, benchmarks="small", moderator="sesame")
    tokens = {"mine": MINE, "others": OTHERS, "moderator": f"{OTHERS}.sesame", "none": f"{OTHERS}.Sesame"}
    for page, token in tokens.items():
        found.visitors.greet(page, token)
    found.shelf.add(IDS[0], ASKED, "2026-01-01T00:00:00+00:00", hashed(MINE))
    found._starter = hashed(MINE)
    for page in ("others", "none", "unknown"):
        for act in (found.stop, lambda page: found.resume(IDS[0], page)):
            with pytest.raises(BadInput, match="not yours"):
                act(page)
    for page in ("mine", "moderator"):
        found.stop(page)
    with pytest.raises(BadInput, match="200 of 128"):
        found.start(replace(ASKED, max_new_tokens=129), "mine")
    with pytest.raises(BadInput, match="Unknown model"):
        found.start(replace(ASKED, model="Qwen/Qwen3-8B"), "mine")
