"""Settings as an address: a link opens with them, a saved run is made again with them, what is unknown is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.browser.conftest import Held

Open = Callable[..., Any]
READY = '#settings input[name="max_new_tokens"]'
COPIED = "navigator.clipboard.writeText = async (text) => { window.copied = text; }"


def settings(address: str) -> dict[str, str]:
    """The settings of an address."""
    return {key: text for key, text in parse_qsl(urlsplit(address).query) if key.startswith("set.")}


def set_for(seen: Any) -> tuple[str, ...]:
    """What the controls show."""
    page = seen.page
    number = page.locator(READY).input_value()
    depth = page.locator('#settings input[name="depth"]').input_value()
    prompt, method = page.locator("#prompt textarea").input_value(), page.locator("#sv-method-select").input_value()
    return prompt, page.locator("#model input").input_value(), method, depth, number


def test_a_copied_link_opens_with_the_same_settings(visit: Open) -> None:
    seen = visit()
    page = seen.page
    assert settings(page.url) == {}
    seen.choose("scripted", 21, prompt="count the <b>links</b> & more")
    page.fill('#settings input[name="depth"]', "5")
    page.fill('#settings input[name="seed"]', "7")
    page.wait_for_function("location.search.includes('set.sampling.seed=7')")
    page.evaluate(COPIED)
    page.get_by_role("button", name="Copy link").first.click()
    link = page.wait_for_function("window.copied").json_value()
    expected = {
        "set.prompt": "count the <b>links</b> & more",
        "set.model": "toy",
        "set.baseline": "false",
        "set.method": "scripted",
        "set.options.depth": "5",
        "set.sampling.max_new_tokens": "21",
        "set.sampling.seed": "7",
    }
    assert settings(link) == settings(page.url) == expected
    shown = set_for(seen)
    other = visit("?" + urlsplit(link).query)
    other.page.wait_for_function("document.querySelector('#settings input[name=depth]').value === '5'")
    assert set_for(other) == shown
    assert not other.page.locator("#baseline input").is_checked()


def test_a_link_to_settings_that_no_longer_exist_says_so_and_sets_the_rest(visit: Open, public_server: str) -> None:
    asked = {
        "set.model": "<gone>",
        "set.method": "scripted",
        "set.options.width": "3",
        "set.options.depth": "99",
        "set.sampling.seed": "11",
        "set.colour": "red",
        "set.prompt": "Still here.",
    }
    page = visit("?" + urlencode({"view": "play", **asked}), server=public_server).page
    told = page.locator("#link [role=alert]")
    told.get_by_text("The rest of what the link asks for is set.").wait_for()
    for sentence in (
        "Unknown model '<gone>'",
        "Unknown option of scripted 'width'",
        "Option depth is '99'",
        "Unknown setting 'colour'",
    ):
        assert sentence in str(told.text_content())
    assert page.locator('#settings input[name="seed"]').input_value() == "11"
    assert page.locator("#prompt textarea").input_value() == "Still here."
    assert page.locator('#settings input[name="depth"]').input_value() == "3"


def test_a_saved_run_is_opened_in_the_playground_and_made_again(visit: Open) -> None:
    seen = visit()
    page = seen.page
    run = seen.decode("scripted", 9, prompt="count for again")
    seen.open(f"?view=sessions&run={run}")
    page.locator("#saved-stage").get_by_role("button", name="Open in Playground").click()
    page.wait_for_function("document.querySelector('#prompt textarea')?.value === 'count for again'")
    page.wait_for_function("location.search.includes('set.sampling.max_new_tokens=9')")
    assert page.locator("#stage .sv-stage").get_attribute("data-phase") == "idle", "nothing is run by an address"
    seen.open(f"?view=sessions&run={run}")
    page.locator("#saved-stage").get_by_role("button", name="Run again").click()
    page.wait_for_selector('#stage .sv-stage[data-phase="finished"]')
    again = seen.stage.get_attribute("data-session")
    assert again != run
    assert seen.text == "".join(f" {number}" for number in range(9))


def test_what_is_typed_outlives_a_look_at_another_view(visit: Open) -> None:
    seen = visit()
    page = seen.page
    seen.choose("scripted", 5, prompt="Kept while I look around.")
    page.wait_for_function("location.search.includes('set.prompt')")
    page.get_by_role("tab", name="Sessions").click()
    page.wait_for_function("!location.search.includes('set.')")
    page.get_by_role("tab", name="Playground").click()
    page.wait_for_function("location.search.includes('set.prompt')")
    assert page.locator("#prompt textarea").input_value() == "Kept while I look around."


def test_only_my_runs_are_listed(visit: Open) -> None:
    other = visit()
    others = other.decode("scripted", 4, prompt="count for others")
    mine = visit(locale="en-GB")
    own = mine.decode("scripted", 4, prompt="count for mine")
    mine.open("?view=sessions")
    for run in (own, others):
        mine.page.wait_for_selector(f'#runs tr[data-run="{run}"]')
    mine.page.get_by_label("Mine").check()
    mine.page.wait_for_selector(f'#runs tr[data-run="{others}"]', state="detached")
    assert mine.page.locator("#runs tbody tr").count() == 1
    assert json.loads(mine.page.evaluate("JSON.stringify(document.querySelectorAll('#runs .sv-open').length)")) == 1


def test_keys_run_stop_and_are_listed(visit: Open, held: Held) -> None:
    seen = visit()
    page = seen.page
    seen.choose("scripted", 2_000, prompt=held.prompt())
    page.locator("#prompt textarea").press("Control+Enter")
    page.wait_for_selector('#stage .sv-stage[data-phase="running"]')
    page.keyboard.press("?")
    assert not page.locator(".sv-keys").is_visible(), "in a text it is a letter"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    page.locator(".sv-keys").get_by_text("Stop it").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_selector(".sv-keys", state="hidden")
    assert seen.stage.get_attribute("data-phase") == "running", "Escape closed the list and nothing else"
    page.keyboard.press("Escape")
    seen.wait("stopped")
