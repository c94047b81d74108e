"""Where a draft tree that plotly.js has drawn has its nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from playwright.sync_api import TimeoutError

from tests.browser.windows import PATIENCE_MS

LOOK_AGAIN_MS = 2_000
Place = Callable[[], Sequence[float] | None]
AT = """([inside, key]) => {
  const gd = document.querySelector(inside + ' .js-plotly-plot');
  if (!gd || !gd.checkVisibility()) return null;
  const { xaxis, yaxis } = gd._fullLayout;
  const nodes = gd.data.find((trace) => trace.customdata), place = nodes.customdata.indexOf(key);
  let scroller = gd.parentElement;
  const isWhole = (node) => node.scrollWidth <= node.clientWidth && node.scrollHeight <= node.clientHeight;
  while (scroller && isWhole(scroller)) scroller = scroller.parentElement;
  if (scroller && scroller !== document.documentElement) scroller.scrollTo(
    xaxis._offset + xaxis.d2p(nodes.x[place]) - scroller.clientWidth / 2,
    yaxis._offset + yaxis.d2p(nodes.y[place]) - scroller.clientHeight / 2);
  window.scrollBy(0, gd.getBoundingClientRect().y + yaxis._offset + yaxis.d2p(nodes.y[place]) - innerHeight / 2);
  const box = gd.getBoundingClientRect();
  return [box.x + xaxis._offset + xaxis.d2p(nodes.x[place]), box.y + yaxis._offset + yaxis.d2p(nodes.y[place])];
}"""
OF = """inside => {
  const nodes = document.querySelector(inside + ' .js-plotly-plot').data.find((trace) => trace.customdata);
  return Object.fromEntries(nodes.customdata.map((key, place) => [key, nodes.marker.symbol[place]]));
}"""


def nodes(page: Any, inside: str) -> dict[str, str]:
    """Each node's key with its symbol."""
    found: dict[str, str] = page.evaluate(OF, inside)
    return found


def wait_for_tree(page: Any, inside: str) -> None:
    """Until there is one, in sight."""
    page.locator(f"{inside} .sv-tree .point").first.wait_for()
    page.locator(f"{inside} .sv-tree").scroll_into_view_if_needed()


def point_at(page: Any, inside: str, key: str) -> None:
    """Move the mouse over a node."""
    hover(page, inside, lambda: page.evaluate(AT, [inside, key]))


def press_node(page: Any, inside: str, key: str, is_there: Callable[[int], object]) -> None:
    """Press a node until something is there."""
    press(page, inside, lambda: page.evaluate(AT, [inside, key]), is_there)


def hover(page: Any, inside: str, place: Place) -> None:
    """Move the mouse there until the chart says what is there."""
    told = page.locator(f"{inside} .hovertext").first
    repeat(lambda: move(page, place()), lambda timeout: told.wait_for(timeout=timeout))


def press(page: Any, inside: str, place: Place, is_there: Callable[[int], object]) -> None:
    """Press what a chart has there until something is there.

    A press whose answer comes late has led away by the next turn, and nothing is left to point at:
    so a turn points once and looks again.
    """
    told = page.locator(f"{inside} .hovertext").first

    def move_and_click() -> None:
        move(page, place())
        told.wait_for(timeout=LOOK_AGAIN_MS)
        if there := place():
            page.mouse.click(*there)

    repeat(move_and_click, is_there)


def move(page: Any, place: Sequence[float] | None) -> None:
    """Move the mouse there from beside it, for a chart hears a movement; nowhere where nothing is."""
    if place:
        x, y = place
        page.mouse.move(x - 3, y)
        page.mouse.move(x, y)


def repeat(act: Callable[[], object], is_there: Callable[[int], object]) -> None:
    """Act until it is there: what is drawn meanwhile takes away what the mouse was on.

    `act` may throw where it found nothing; `is_there` waits so many milliseconds, and throws where
    it has waited in vain.
    """
    for _ in range(PATIENCE_MS // LOOK_AGAIN_MS):
        with suppress(TimeoutError):
            act()
        with suppress(TimeoutError):
            is_there(LOOK_AGAIN_MS)
            return
    raise AssertionError("it is not there, however often one acts")
