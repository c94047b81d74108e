"""The Playground's tree and charts on a real page: while a run streams, of a step that is pointed at, narrow."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.browser.accessible import assert_accessible
from tests.browser.conftest import Held
from tests.browser.trees import nodes, press, press_node, repeat, wait_for_tree

Open = Callable[..., Any]


def test_a_tree_and_charts_grow_while_a_run_streams(visit: Open, held: Held) -> None:
    seen = visit()
    seen.choose("scripted", 40, prompt=held.prompt())
    seen.run()
    wait_for_tree(seen.page, "#stage")
    seen.stage.locator(".sv-live-step", has_text="the newest").wait_for()
    seen.stage.locator(".sv-figures .bars .point").first.wait_for()
    held.let_go()
    seen.wait()
    last = seen.stage.locator(".sv-text .sv-token").last.get_attribute("data-step")
    seen.stage.locator(".sv-live-step", has_text=f"step {last}, the newest").wait_for()


def leads_to(seen: Any, address: str) -> Callable[[int], object]:
    """Whether the address has come to hold this."""
    script = "address => location.search.includes(address)"
    return lambda timeout: seen.page.wait_for_function(script, arg=address, timeout=timeout)


def test_the_step_under_the_pointer_and_the_way_to_the_inspector(visit: Open) -> None:
    seen = visit()
    session = seen.decode("scripted", 30)
    wait_for_tree(seen.page, "#stage")
    token = seen.stage.locator(".sv-text .sv-token.is-accepted").nth(3)
    step = token.get_attribute("data-step")

    def point() -> None:
        seen.page.mouse.move(5, 5)
        token.hover()

    said = seen.stage.locator(".sv-live-step").get_by_text(f"step {step}", exact=True)
    repeat(point, lambda timeout: said.wait_for(timeout=timeout))
    assert "0" in nodes(seen.page, "#stage .sv-live")
    assert seen.page.evaluate("window.hacked") is None
    # The page scrolls to the tree, and then another token may be under the pointer.
    press_node(seen.page, "#stage .sv-live", "0", leads_to(seen, f"view=inspect&run={session}&step="))
    opened = re.search(r"step=(\d+)", seen.page.url)
    assert opened is not None
    assert re.findall(r"\d+", seen.stage.locator(".sv-live-step").text_content()) == [opened[1]]
    seen.page.locator(f"#inspector .sv-inspector[data-run='{session}']").wait_for()
    seen.page.go_back()
    plot = seen.stage.locator(".sv-figures .sv-chart-plot").first
    plot.scroll_into_view_if_needed()

    def middle() -> tuple[float, float] | None:
        box = plot.locator(".bars .point").nth(2).bounding_box()
        return (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) if box else None

    press(seen.page, "#stage .sv-figures", middle, leads_to(seen, "step=2"))


def test_a_narrow_page_folds_the_tree(visit: Open) -> None:
    seen = visit(width=1000, height=844)
    seen.decode("scripted", 20)
    assert not seen.stage.locator(".sv-live .sv-tree").is_visible()
    seen.stage.locator(".sv-live > summary").click()
    wait_for_tree(seen.page, "#stage")
    seen.page.set_viewport_size({"width": 390, "height": 844})
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_tree_and_charts_are_accessible_light_and_dark(visit: Open) -> None:
    for address in ("", "?__theme=dark"):
        seen = visit(address)
        seen.decode("scripted", 20)
        wait_for_tree(seen.page, "#stage")
        assert_accessible(seen.page, "#stage")
