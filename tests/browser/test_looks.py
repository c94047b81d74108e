"""How the page looks: dark, narrow, at rest, in contrast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Open = Callable[..., Any]
CONTRAST = Path(__file__).with_name("contrast.js")


def test_dark_follows_the_address(visit: Open) -> None:
    seen = visit("?__theme=dark")
    background = "getComputedStyle(document.querySelector('.sv-paper')).backgroundColor"
    assert seen.page.evaluate(background) == "rgb(23, 30, 38)"
    seen.page.click("#theme-switch")
    assert seen.page.evaluate(background) == "rgb(255, 255, 255)"


def test_a_narrow_page_does_not_scroll_sideways(visit: Open) -> None:
    seen = visit(width=390, height=844)
    seen.page.locator("summary", has_text="Sampling").click()
    seen.decode("scripted", 20)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert seen.page.locator("#stop").is_visible()
    seen.stage.locator(".sv-ghosts").click()
    seen.stage.locator(".sv-text .sv-token").first.focus()
    box = seen.stage.locator(".sv-card").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_motion_is_off_where_it_is_not_wanted(visit: Open) -> None:
    seen = visit(reduced_motion="reduce")
    assert seen.page.evaluate("getComputedStyle(document.querySelector('.sv-dot')).animationName") == "none"


def test_text_has_enough_contrast(visit: Open) -> None:
    """WCAG AA, 4.5 to 1, for every text of the page, light and dark."""
    for address in ("", "?__theme=dark"):
        seen = visit(address)
        seen.decode("scripted", 12)
        assert seen.page.evaluate(CONTRAST.read_text()) == [], address or "light"
