"""What outlives a reload: the chosen theme, the run that was going on, the address in another site's frame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote

import pytest

from tests.browser.conftest import Held

Open = Callable[..., Any]
IS_DARK = "() => document.body.classList.contains('dark')"
HUB = b"""<!doctype html><body><iframe style="width:1300px;height:900px"></iframe><script>
window.heard = [];
addEventListener('message', (event) => heard.push(event.data));
document.querySelector('iframe').src = new URLSearchParams(location.search).get('frame');
</script>"""


class Hub(BaseHTTPRequestHandler):
    """Another site, which shows a page in a frame."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(HUB)

    def log_message(self, *said: Any) -> None:
        """Nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    """Its origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def framed(context: Any, hub: str, address: str) -> tuple[Any, Any]:
    """The app in the frame, as the Hub shows a Space: page and frame."""
    page = context.new_page()
    page.goto(f"{hub}/?frame={quote(address, safe='')}")
    return page, page.frame_locator("iframe")


def reload(seen: Any) -> None:
    """The page anew; what a reload breaks off is no error of ours."""
    seen.page.reload()
    seen.page.wait_for_selector(".sv-stage", state="attached")
    seen.errors.clear()


def test_a_chosen_theme_is_kept_over_a_reload_and_in_another_tab(visit: Open, scripted_server: str) -> None:
    seen = visit(server=scripted_server)
    assert not seen.page.evaluate(IS_DARK)
    other = seen.page.context.new_page()
    other.goto(scripted_server)
    other.wait_for_selector(".sv-stage", state="attached")
    seen.page.click("#theme-switch")
    other.wait_for_function(IS_DARK)
    reload(seen)
    seen.page.wait_for_function(IS_DARK)
    other.click("#theme-switch")
    seen.page.wait_for_function("() => !document.body.classList.contains('dark')")
    asked = seen.page.context.new_page()
    asked.goto(f"{scripted_server}/?__theme=dark")
    asked.wait_for_selector(".sv-stage", state="attached")
    asked.wait_for_function("() => !document.body.classList.contains('dark')")
    for page in (other, asked):
        page.close()


def test_in_a_frame_the_address_is_told_and_followed(visit: Open, scripted_server: str, hub: str) -> None:
    opened = visit(server=scripted_server)
    run_id, context = opened.decode("scripted", 8, prompt="count in a frame"), opened.page.context
    page, frame = framed(context, hub, f"{scripted_server}/?__theme=light&view=sessions")
    frame.locator(f'#runs tr[data-run="{run_id}"] .sv-open').click()
    frame.locator(f'#saved-stage [data-session="{run_id}"]').wait_for()
    told = page.evaluate("heard.map((message) => message.queryString).filter(Boolean)")
    assert [parse_qs(text) for text in told] == [{"view": ["sessions"], "run": [run_id]}]
    frame.get_by_role("tab", name="Playground").click()
    frame.locator("#prompt textarea").fill("What I type is no business of who frames the page.")
    page.wait_for_function("heard.some((message) => message.queryString?.startsWith('view=play'))")
    assert "set." not in page.evaluate("JSON.stringify(heard)")
    second, again = framed(context, hub, f"{scripted_server}/?{told[-1]}")
    again.locator(f'#saved-stage [data-session="{run_id}"]').wait_for()
    for each in (page, second):
        each.close()


def test_a_run_goes_on_over_a_reload(visit: Open, scripted_server: str, held: Held) -> None:
    seen = visit(server=scripted_server)
    seen.choose("scripted", 40, prompt=held.prompt())
    seen.run()
    seen.page.wait_for_function("new URLSearchParams(location.search).get('run') !== null")
    run, before = seen.page.evaluate("new URLSearchParams(location.search).get('run')"), seen.text
    reload(seen)
    seen.page.wait_for_selector(f'#stage [data-session="{run}"][data-phase="running"]')
    seen.page.wait_for_selector("#run[disabled]")
    assert seen.page.locator("#prompt textarea").input_value() == held.prompt()
    held.let_go()
    seen.wait()
    assert len(seen.text) > len(before)
    linked = visit(f"?view=play&run={run}", server=scripted_server)
    linked.page.wait_for_selector(f'#stage [data-session="{run}"]')
    assert linked.text == seen.text != ""


def test_a_run_that_was_joined_again_can_be_stopped(visit: Open, scripted_server: str, held: Held) -> None:
    seen = visit(server=scripted_server)
    seen.choose("scripted", 400, prompt=held.prompt())
    seen.run()
    reload(seen)
    seen.page.wait_for_selector('#stage [data-phase="running"]')
    seen.page.click("#stop")
    seen.wait("stopped")


def test_a_race_goes_on_over_a_reload(visit: Open, scripted_server: str, held: Held) -> None:
    seen = visit("?view=compare", server=scripted_server)
    page = seen.page
    page.fill("#race-prompt textarea", held.prompt())
    page.fill("#race-settings input[name=max_new_tokens]", "40")
    page.click("#race-run")
    page.wait_for_selector('.sv-race[data-phase="running"] .sv-lane[data-phase="running"]')
    reload(seen)
    page.wait_for_selector('.sv-race[data-phase="running"] .sv-lane[data-phase="running"]')
    held.let_go()
    page.wait_for_selector('.sv-race[data-phase="finished"]')
    page.wait_for_selector("#race-run:not([disabled])")


def test_compare_opens_with_a_recorded_race(visit: Open, scripted_server: str) -> None:
    page = visit("?view=compare", server=scripted_server).page
    note = page.locator(".sv-recorded")
    note.get_by_text("A recording, not a run of this machine: smollm2-135m").wait_for()
    assert "press Race" in str(note.text_content())
    page.locator(".sv-lane").nth(3).wait_for()
    page.locator(".sv-clock-slider").press("Home")
    page.wait_for_selector(".sv-lane .is-later", state="attached")
    page.locator(".sv-lane-inspect").nth(1).click()
    page.locator("#inspector").get_by_text("prime").first.wait_for()


def test_the_playground_says_where_its_address_leads_nowhere(visit: Open, scripted_server: str) -> None:
    seen = visit("?view=play&run=nobody", server=scripted_server)
    seen.stage.locator("[role=alert]").get_by_text("There is no run 'nobody'").wait_for()
