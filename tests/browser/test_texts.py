"""Texts with code, Markdown and other scripts, as an exported file and the page show them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted import started

from engine.events import Counts, Emitted, Node, SessionFinished, Stepped
from specviz.pages import offline
from specviz.store import open_store
from tests.browser.accessible import assert_accessible
from tests.browser.windows import new_page

Open = Callable[..., Any]
TEXTS = [
    *("##", " Code", "\n\n", "Use", " **", "this", "**", ":", "\n", "```", "python", "\n", "def", " f", "():"),
    *("\n   ", " return", " '<script>window.hit=1</script>'", "\n", "```", "\n", "שלום", " עולם", ".", "\n"),
    *("[x](javascript:window.hit=1)", " \u202e", "<img src=x onerror=window.hit=1>", "\n", "سل", "ام", " 👨", "\u200d"),
    *("👩", " क", "ि", "\n", "```\n", "x" * 3_000, "\n", "\ty"),
]
KINDS = (
    """(place) => [...document.querySelectorAll(place + ' .sv-paragraph')].map((node) => node.className.slice(16))"""
)
MARKUP = "document.querySelectorAll('.sv-paragraph :not(span):not(div)').length"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of TEXTS as a file: every second step's draft accepted, every other one rejected."""
    folder = tmp_path_factory.mktemp("texts")
    store = open_store(str(folder / "runs.db"))
    run = store.begin(started(session_id="texts", prompt=TEXTS[26]))
    for place, text in enumerate(TEXTS):
        is_kept = place % 2 == 0
        node = Node(place, text, -1, "accepted" if is_kept else "rejected", 0.5, 0.5)
        token = Emitted(place, text, "accepted" if is_kept else "correction", 0 if is_kept else None, 0.5)
        run.append(Stepped(place, 1, (node,), (0,) if is_kept else (), (token,), 1, 1, 1, 1, 1, 9))
    size = len(TEXTS)
    run.append(SessionFinished("length", Counts(size, size, size // 2, size, size), 10**9))
    store.flush()
    file = folder / "runs.html"
    file.write_text(offline.to_html(store, ["texts"]), encoding="utf-8")
    store.close()
    return file


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_an_exported_text_is_set_by_lines(browser: Any, exported: Path, width: int, theme: str) -> None:
    page = new_page(browser, viewport={"width": width, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.goto(exported.as_uri())
    page.evaluate("(theme) => document.body.classList.toggle('dark', theme === 'dark')", theme)
    kinds = ["heading is-level-2", "text", "fence", "code", "code", "fence", *["text"] * 3, "fence", "code", "code"]
    assert page.evaluate(KINDS, ".sv-text") == kinds
    assert "".join(
        page.locator(".sv-text .sv-token.is-accepted, .sv-text .sv-token.is-correction").all_text_contents()
    ) == ("".join(TEXTS).replace("\u202e", "⟨U+202E⟩"))
    page.locator(".sv-text .sv-token", has_text="return").first.click()
    assert page.locator(".sv-inspector-text .is-code .is-now").inner_text().strip() == "return"
    assert page.evaluate(KINDS, ".sv-inspector-text")[-2:] == ["code", "code"]
    weight = "() => getComputedStyle(document.querySelector('.sv-text .is-heading')).fontWeight"
    assert page.evaluate(weight) == "650"
    page.keyboard.press("m")
    assert page.evaluate(weight) == "400"
    assert page.locator(".sv-markdown[aria-pressed=false]").count() == 2, "stage and inspector"
    page.keyboard.press("g")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (page.evaluate("window.hit"), page.evaluate(MARKUP)) == (None, 0)
    assert_accessible(page)
    assert not errors
    page.context.close()


def test_plain_text_is_remembered_in_every_view(visit: Open, scripted_server: str) -> None:
    seen = visit()
    switch = seen.stage.locator(".sv-markdown")
    assert switch.get_attribute("aria-pressed") == "true"
    switch.click()
    seen.page.get_by_role("tab", name="Inspector").click()
    seen.page.wait_for_selector("#inspector .sv-markdown[aria-pressed=false]")
    seen.open("?view=inspect")
    seen.page.wait_for_selector("#inspector .sv-markdown[aria-pressed=false]")
    seen.page.keyboard.press("m")
    seen.page.wait_for_selector("#inspector .sv-markdown[aria-pressed=true]")
    seen.page.get_by_role("tab", name="Playground").click()
    seen.page.wait_for_selector("#stage .sv-markdown[aria-pressed=true]")
