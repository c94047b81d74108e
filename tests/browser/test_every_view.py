"""Every view by the Tab key alone, on one page that goes from view to view."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Open = Callable[..., Any]
VIEWS = {
    "Playground": "#stage .sv-token",
    "Compare": "#race-stage .sv-lane .sv-token",
    "Inspector": "#inspector .sv-tree .point",
    "Sessions": "#runs tbody tr",
    "Benchmark": "#bench-board .sv-bench-table td",
    "Learn": "#learn .sv-tree .point",
}
"""Each with what is there once it is drawn."""
PROBE = (Path(__file__).with_name("tabwalk.js")).read_text(encoding="utf-8")
MOST_STOPS = 400


def shown(page: Any, title: str) -> None:
    """The view, drawn."""
    page.get_by_role("tab", name=title, exact=True).click()
    page.locator(VIEWS[title]).first.wait_for()


def walk(page: Any) -> dict[str, Any]:
    """Once around by Tab from the page's first control; what was missed, what had no mark, what no key could work."""
    page.evaluate("walk.begin()")
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if page.evaluate("walk.isRound()"):
            break
    found: dict[str, Any] = page.evaluate("walk.end()")
    return found


def test_each_view_is_walked_by_tab_alone(visit: Open) -> None:
    """Every control is reached and shows that it has the focus; nothing that only a mouse can work; no trap."""
    seen = visit()
    seen.decode("scripted", 8, prompt="count for tab")
    seen.page.evaluate(PROBE)
    for title in VIEWS:
        shown(seen.page, title)
        found = walk(seen.page)
        assert found == {"missed": [], "unmarked": [], "mouseOnly": [], "isRound": True}, title
