"""A long run streams into a real page: nothing is lost on the way, and the page stays quick to answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.events import Stepped
from specviz.archive import lines
from tests.browser.page_speed import NUM_TOKENS, stream

Open = Callable[..., Any]
NUM_PARAGRAPHS = 40
COUNT = """() => {
  window.drawn = 0;
  window.counter = new MutationObserver((changes) => {
    const ofText = changes.filter((change) => !change.target.closest('.sv-figures, .sv-live'));
    for (const change of ofText) for (const node of change.addedNodes)
      window.drawn += 1 + (node.querySelectorAll ? node.querySelectorAll('*').length : 0);
  });
  window.counter.observe(document.querySelector('#stage'), { childList: true, subtree: true });
}"""


def stored(server: str, session: str) -> list[tuple[int, str]]:
    """Step and text of every token, as the store has them."""
    from gradio_client import Client

    file = Client(server, verbose=False).predict([session], "jsonl", api_name="/export")
    (copy,) = lines.from_lines(file)
    return [(event.step, token.text) for event in copy.events if isinstance(event, Stepped) for token in event.emitted]


def test_two_thousand_tokens_stream_without_loss(visit: Open, scripted_server: str) -> None:
    """What is there already is not drawn again, however many messages there are. `page_speed.py` times it."""
    opened = visit()
    opened.decode("scripted", 4)  # what a first run alone loads, the chart library above all, is no part of a text
    opened.stage.locator(".sv-figures .sv-chart .main-svg").nth(2).wait_for(state="attached")
    opened.page.evaluate(COUNT)
    streamed = stream(opened, "count", "scripted")
    drawn = opened.page.evaluate("drawn")
    assert len(streamed.shown) == NUM_TOKENS
    assert streamed.shown == stored(scripted_server, streamed.session), (
        "every token of the store is on the page, in its step"
    )
    assert opened.stage.locator(".sv-paragraph").count() == NUM_PARAGRAPHS
    assert streamed.heaps_mb[1] - streamed.heaps_mb[0] < 7
    assert streamed.nodes[1] < 30_000
    assert drawn < 1.5 * (streamed.nodes[1] - streamed.nodes[0])


def test_a_paragraph_ends_nothing_for_the_keyboard(visit: Open, scripted_server: str) -> None:
    opened = visit()
    streamed = stream(opened, "count", "scripted", 120)
    tokens = opened.stage.locator(".sv-text .sv-token:not(.is-rejected):not(.is-unreached)")
    assert tokens.nth(49).text_content() == " 49\n\n"
    tokens.nth(49).focus()
    focused = "document.activeElement.textContent.trim()"
    opened.page.keyboard.press("ArrowRight")
    assert opened.page.evaluate(focused) == "50"
    opened.page.keyboard.press("ArrowLeft")
    assert opened.page.evaluate(focused) == "49"
    opened.page.keyboard.press("ArrowDown")
    assert opened.page.evaluate(focused) == "51", "the first token of the next step"
    opened.page.keyboard.press("End")
    assert opened.page.evaluate(focused) == "119"
    opened.page.keyboard.press("Home")
    assert opened.page.evaluate(focused) == "0"
    assert tokens.all_text_contents() == [token for _, token in stored(scripted_server, streamed.session)]
