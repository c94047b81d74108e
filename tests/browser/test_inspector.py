"""The inspector and Learn on a real page: a run read once, every node by mouse and key, hostile tokens as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.browser.accessible import assert_accessible
from tests.browser.trees import nodes, point_at, press_node, wait_for_tree

Open = Callable[..., Any]
NUM_NODES = 60
SCRUB = """async () => {
  const slider = document.querySelector('#inspector .sv-ruler-slider');
  let drawn = 0;
  const observer = new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes)
      drawn += 1 + (node.querySelectorAll ? node.querySelectorAll('*').length : 0);
  });
  observer.observe(document.querySelector('#inspector'), { childList: true, subtree: true });
  const counts = [];
  for (let i = 0; i < 10; i++) {
    slider.value = 100 + i;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    counts.push(drawn);
    drawn = 0;
  }
  observer.disconnect();
  return counts;
}"""
"""How many nodes the page makes for each of ten steps."""


def inspect(seen: Any, run: str) -> Any:
    """The inspector with this run on it."""
    seen.page.wait_for_selector(f'#inspector .sv-inspector[data-run="{run}"]')
    return seen.page.locator("#inspector .sv-inspector")


def counter(seen: Any, says: str) -> None:
    seen.page.wait_for_function(
        "says => document.querySelector('#inspector .sv-inspector-counter').textContent === says", arg=says
    )


def test_a_token_leads_to_its_step_and_the_address_leads_there_again(visit: Open) -> None:
    seen = visit()
    session = seen.decode("scripted", 30)
    token = seen.stage.locator(".sv-text .sv-token.is-accepted").nth(8)
    step = int(token.get_attribute("data-step"))
    total = seen.stage.locator(".sv-text .sv-token").last.get_attribute("data-step")
    token.click()
    inspect(seen, session)
    counter(seen, f"Step {step + 1} of {int(total) + 1}")
    assert f"view=inspect&run={session}&step={step}" in seen.page.url
    again = visit(seen.page.url.split("/")[-1])
    inspect(again, session)
    counter(again, f"Step {step + 1} of {int(total) + 1}")
    seen.page.go_back()
    seen.page.wait_for_selector("#stage .sv-stage")
    assert seen.page.locator('[role=tab][aria-selected="true"]').inner_text() == "Playground"


def test_scrubbing_asks_nobody_and_jumps_find_what_they_say(visit: Open) -> None:
    seen = visit("?view=inspect&run=recorded&step=0")
    view = seen.page.locator("#inspector .sv-inspector")
    wait_for_tree(seen.page, "#inspector")
    asked: list[str] = []
    # Scripts of other views may still be on their way.
    seen.page.on("request", lambda request: "/specviz/js-" in request.url or asked.append(request.url))
    view.get_by_role("button", name="Next rejection").click()
    assert "in place of what it rejected" in view.locator(".sv-inspector-story").inner_text()
    assert nodes(seen.page, "#inspector")["next"] == "square"
    seen.page.keyboard.press("f")
    assert "as a bonus" in view.locator(".sv-inspector-story").inner_text()
    view.locator(".sv-ruler-slider").focus()
    seen.page.keyboard.press("Home")
    counter(seen, "Step 1 of 13")
    seen.page.keyboard.press("ArrowRight")
    counter(seen, "Step 2 of 13")
    box = view.locator(".sv-ruler-plot").bounding_box()
    seen.page.mouse.click(box["x"] + box["width"] - 2, box["y"] + 20)
    counter(seen, "Step 13 of 13")
    seen.page.wait_for_function("location.search.includes('step=12')")
    assert asked == []


def test_every_node_by_keyboard_alone(visit: Open) -> None:
    """Step 11 of the recording: `.` and ` He` accepted, ` wanted` rejected, ` thought` the target's own."""
    seen = visit("?view=inspect&run=recorded&step=10")
    view = seen.page.locator("#inspector .sv-inspector")
    wait_for_tree(seen.page, "#inspector")
    why = view.locator(".sv-nodecard-why")
    assert "is not the target’s likeliest token here" in why.inner_text()
    view.locator(".sv-tree .sv-chart-plot").focus()
    seen.page.keyboard.press("ArrowLeft")
    assert "was accepted" in why.inner_text()
    seen.page.keyboard.press("ArrowLeft")
    seen.page.keyboard.press("ArrowLeft")
    assert "The last token before this step" in why.inner_text()
    seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("ArrowDown")
    assert "is not the target’s likeliest" in why.inner_text()
    assert ", rejected, draft" in view.locator(".sv-tree [aria-live]").text_content()


def test_panels_open_and_say_what_they_are(visit: Open) -> None:
    seen = visit("?view=inspect&run=recorded&step=10")
    view = seen.page.locator("#inspector .sv-inspector")
    wait_for_tree(seen.page, "#inspector")
    for fold in view.locator(":is(.sv-whatif, .sv-masks, .sv-nodes) > summary").all():
        fold.click()
    assert "estimate" in view.locator(".sv-whatif").inner_text()
    whole = view.locator(".sv-whatif tbody").first.locator("tr").last.locator("td")
    assert whole.nth(1).inner_text() == "2"
    assert whole.last.inner_text() == "3.69", "the whole tree is what the run measured: 48 tokens in 13 passes"
    num_nodes = view.locator(".sv-nodes tbody tr").count()
    assert view.locator(".sv-mask-cell.is-context").count() == num_nodes + 1
    view.locator(".sv-nodes .sv-sort").nth(6).click()
    shares = [
        float(cell.split()[0])
        for cell in view.locator(".sv-nodes tbody td:last-child").all_inner_texts()
        if "<" not in cell
    ]
    assert shares == sorted(shares)
    view.locator(".sv-nodes tbody .sv-open").last.click()
    assert "was accepted" in view.locator(".sv-nodecard-why").inner_text()
    for what, name in (("step", "JSON"), ("tree", "SVG"), ("tree", "PNG")):
        with seen.page.expect_download() as download:
            view.get_by_role("button", name=f"Download this {what} as {name}").click()
        assert download.value.suggested_filename == f"specviz-step-10.{name.lower()}"


def test_a_long_hostile_run_opens_and_scrubs(visit: Open) -> None:
    """500 steps of 60 nodes: a step draws its own tree and nothing of the others. `page_speed.py` times it."""
    seen = visit()
    seen.page.get_by_role("tab", name="Inspector").click()
    seen.page.select_option("#sv-inspect-run", "long")
    view = inspect(seen, "long")
    drawn = seen.page.evaluate(SCRUB)
    # A chart makes a group, a mark and a label of each node and its edge, and marks that scale come twice.
    assert all(0 < num < 24 * NUM_NODES for num in drawn), drawn
    labels = view.locator(".sv-tree .textpoint text").all_text_contents()
    assert "<img␣src=x␣" in "".join(labels)
    for fold in view.locator(":is(.sv-whatif, .sv-masks, .sv-nodes) > summary").all():
        fold.click()
    assert_no_markup(seen)


def assert_no_markup(seen: Any) -> None:
    assert seen.page.evaluate("window.hacked") is None
    foreign = "img, a:not(.sv-tip-link), script, [onerror], [onclick], svg [style*=bold]"
    assert seen.page.locator(".sv-root").locator(foreign).count() == 0


def test_hostile_tokens_are_text_in_the_tree_its_hover_and_its_files(visit: Open) -> None:
    seen = visit("?view=inspect&run=long&step=0")
    view = inspect(seen, "long")
    wait_for_tree(seen.page, "#inspector")
    for key in list(nodes(seen.page, "#inspector"))[1:6]:
        point_at(seen.page, "#inspector", key)
        seen.page.mouse.move(5, 5)
    card = view.locator(".sv-nodecard", has_text="Node, depth")
    press_node(seen.page, "#inspector", "0", lambda timeout: card.wait_for(timeout=timeout))
    assert_no_markup(seen)
    with seen.page.expect_download() as download:
        view.get_by_role("button", name="Download this tree as SVG").click()
    picture = ElementTree.parse(download.value.path())
    names = {element.tag.rpartition("}")[2] for element in picture.iter()}
    assert names & {"a", "script", "image", "foreignObject"} == set()
    assert not any(name.startswith("on") for element in picture.iter() for name in element.attrib)
    assert "<img␣src=x␣" in "".join(picture.getroot().itertext())


def test_unknown_runs_and_steps_get_a_sentence(visit: Open) -> None:
    seen = visit("?view=inspect&run=nobody&step=x")
    seen.page.locator("#inspector [role=alert]").get_by_text("There is no run 'nobody'").wait_for()
    seen.page.select_option("#sv-inspect-run", "recorded")
    counter(seen, "Step 1 of 13")
    assert not seen.page.locator("#inspector [role=alert]").is_visible()
    lost = visit("?view=%3Cb%3Enowhere")
    lost.page.locator("#address [role=alert]").get_by_text("There is no view '<b>nowhere'").wait_for()


def test_the_tour_walks_its_five_stops(visit: Open, server: str) -> None:
    seen = visit("?view=learn&step=4", server=server)
    tour = seen.page.locator("#learn .sv-tour")
    tour.locator(".sv-tree .point").first.wait_for()
    tour.locator(".sv-tour-title", has_text="Correct").wait_for()
    tour.get_by_role("button", name="Draft", exact=False).first.click()
    titles = []
    for _ in range(5):
        titles.append((tour.locator(".sv-tour-title").inner_text(), tour.locator(".is-framed").count()))
        tour.locator(".sv-tour-on").evaluate("button => button.click()")
    assert titles == [(title, 1) for title in ("Draft", "Verify", "Reject", "Correct", "Bonus")]
    assert "step=5" in seen.page.url
    seen.page.locator("#learn").get_by_role("button", name="Token recycling").click()
    seen.page.locator("#learn .sv-article table").first.wait_for()
    assert "Failure modes" in seen.page.locator("#learn .sv-article").inner_text()
    assert "ids=token_recycling" in seen.page.url


@pytest.mark.parametrize("address", ["?view=inspect&run=recorded&step=10", "?view=learn&step=3"])
def test_accessible_light_dark_and_narrow(visit: Open, address: str) -> None:
    for theme, width in (("", 1440), ("&__theme=dark", 390)):
        seen = visit(address + theme, width=width)
        inside = "#inspector" if "inspect" in address else "#learn"
        wait_for_tree(seen.page, inside)
        folds = seen.page.locator(f"{inside} details")
        folds.evaluate_all("folds => folds.forEach((fold) => { fold.open = true; })")
        seen.page.wait_for_timeout(300)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert_accessible(seen.page, inside)


def test_a_view_in_the_narrow_menu_leads_there_too(visit: Open) -> None:
    seen = visit(width=390, height=844)
    seen.page.get_by_role("button", name="More tabs").click()
    seen.page.locator(".overflow-dropdown button", has_text="Learn").click()
    wait_for_tree(seen.page, "#learn")
    assert "view=learn" in seen.page.url
