"""The `?` beside a metric on a real page: its definition, its link into Learn, Back, keys, narrow and dark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.accessible import assert_accessible

Open = Callable[..., Any]
VIEWS = {
    "?view=play": ("#stage", 7),
    "?view=inspect&run=recorded&step=10": ("#inspector", 2),
    "?view=sessions": ("#runs", 0),
    "?view=bench": ("#bench-board", 7),
}


def named(page: Any, term: str) -> None:
    """The glossary is open at this term, marked and on screen."""
    page.locator(f"#learn #term-{term}.is-named").wait_for()
    page.wait_for_function(
        """term => { const box = document.querySelector('#term-' + term).getBoundingClientRect();
        return box.top >= 0 && box.bottom <= innerHeight; }""",
        arg=term,
    )


def test_a_metric_leads_to_its_entry_and_back(visit: Open) -> None:
    page = visit().page
    loads: list[str] = []
    page.on("load", lambda: loads.append(page.url))
    mark = page.get_by_role("button", name="What is Block efficiency?").first
    mark.hover()
    tip = page.locator("#stage .sv-tip-text:popover-open")
    assert "Emitted tokens ÷ target passes" in tip.inner_text()
    tip.get_by_role("link").click()
    named(page, "block-efficiency")
    assert page.url.endswith("?view=learn&term=block-efficiency")
    page.go_back()
    page.locator("#stage .sv-tiles").wait_for()
    assert "term=" not in page.url
    page.go_forward()
    named(page, "block-efficiency")
    assert loads == []
    again = visit("?view=learn&term=per-position-acceptance")
    named(again.page, "per-position-acceptance")


def test_the_glossary_by_keyboard_alone(visit: Open) -> None:
    page = visit(width=390, height=844).page
    mark = page.get_by_role("button", name="What is Speedup?").first
    mark.focus()
    tip = page.locator("#stage .sv-tip-text:popover-open")
    tip.wait_for()
    box = tip.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    page.keyboard.press("Escape")
    tip.wait_for(state="hidden")
    page.keyboard.press("Enter")
    tip.wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "sv-tip-link"
    assert tip.is_visible()
    page.keyboard.press("Enter")
    named(page, "speedup")
    assert page.evaluate("document.activeElement.id") == "term-speedup"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("address", VIEWS)
def test_every_mark_of_a_view_has_an_entry(visit: Open, address: str) -> None:
    inside, least = VIEWS[address]
    page = visit(address).page
    links = f"{inside} .sv-tip-link"
    page.wait_for_function("([at, n]) => document.querySelectorAll(at).length >= n", arg=[links, least])
    page.locator(f"{inside} details").evaluate_all("folds => folds.forEach((fold) => { fold.open = true; })")
    terms = page.locator(links).evaluate_all("all => all.map((link) => new URL(link.href).searchParams.get('term'))")
    missing = "terms => terms.filter((term) => !document.querySelector('#learn #term-' + term))"
    page.get_by_role("tab", name="Learn").click()
    page.locator("#learn .sv-term").first.wait_for()
    assert page.evaluate(missing, terms) == []


def test_a_term_that_is_none_is_a_sentence(visit: Open) -> None:
    page = visit("?view=learn&term=%3Cb%3Esorcery").page
    page.locator("#learn [role=alert]").get_by_text("The glossary has no term '<b>sorcery'").wait_for()
    assert page.locator("#learn .is-named").count() == 0


def test_an_open_mark_is_accessible_light_and_dark(visit: Open) -> None:
    seen = visit("?view=learn&term=audit")
    page = seen.page
    named(page, "audit")
    assert_accessible(page, "#learn")
    page.click("#theme-switch")
    assert_accessible(page, "#learn")
    seen.open("?view=play")
    for theme in ("dark", "light"):
        assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
        page.get_by_role("button", name="What is Speed?").focus()
        page.locator("#stage .sv-tip-text:popover-open").wait_for()
        assert_accessible(page, "#stage")
        page.click("#theme-switch")
