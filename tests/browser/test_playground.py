"""The Playground on a real page: runs and their figures, keys, two visitors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.browser.conftest import Held

Open = Callable[..., Any]
SAM = (
    "Repeat this text.\n\nSam has a big dog. The dog likes to run in the park. Sam likes to run with the dog. "
    "Every day, Sam and the dog run in the park."
)


def test_a_run_to_its_end(visit: Open, server: str) -> None:
    seen = visit(server=server)
    seen.decode("prompt_lookup", 40, baseline=True, prompt=SAM)
    stage = seen.stage
    assert seen.text.strip()
    assert stage.locator(".sv-text .sv-token.is-accepted, .sv-text .sv-token.is-correction").count() > 0
    assert stage.locator(".sv-legend li").count() == 5
    values = {
        tile.get_attribute("data-tile"): tile.locator(".sv-tile-value").inner_text()
        for tile in stage.locator(".sv-tile").all()
    }
    assert set(values) == {"speed", "speedup", "efficiency", "acceptance", "memory", "audit"}
    assert float(values["speed"].replace(",", "")) > 0
    assert float(values["speedup"]) > 0
    assert float(values["efficiency"]) >= 1
    assert values["audit"] in ("identical", "near-tie")
    num_steps = len({token.get_attribute("data-step") for token in stage.locator(".sv-text .sv-token").all()})
    bars = "document.querySelector('#stage .sv-figures .js-plotly-plot')?.data?.[0].x.length"
    seen.page.wait_for_function(f"{bars} === {num_steps}")
    assert "on average" in stage.locator(".sv-figures figcaption").first.inner_text()
    assert stage.locator("p[role=status]").inner_text() != ""


def test_no_baseline_leaves_the_speedup_empty(visit: Open) -> None:
    seen = visit()
    seen.decode("scripted", 8)
    tile = seen.stage.locator('[data-tile="speedup"]')
    assert tile.locator(".sv-tile-value").inner_text() == "–"
    assert "no baseline measured" in tile.inner_text()


def test_a_figure_explains_itself(visit: Open) -> None:
    seen = visit()
    mark = seen.page.get_by_role("button", name="What is Block efficiency?")
    mark.focus()
    bubble = seen.stage.locator('[data-tile="efficiency"] [role=tooltip]')
    assert bubble.is_visible()
    assert "target passes" in bubble.inner_text()
    seen.page.keyboard.press("Escape")
    assert not bubble.is_visible()


def test_stop_ends_the_run_and_keeps_its_text(visit: Open, held: Held) -> None:
    seen = visit()
    seen.choose("plain", 900, prompt=held.prompt())
    seen.run()
    seen.page.wait_for_function("document.querySelectorAll('#stage .sv-text .sv-token').length > 3")
    seen.page.click("#stop")
    seen.wait("stopped")
    assert seen.text.strip()
    assert seen.page.locator("#stop").is_disabled()


def test_stop_can_be_pressed_where_messages_come_before_the_answer_that_announces_them(visit: Open, held: Held) -> None:
    """They do where a page has asked before and still waits: here, for the run of its address to end.

    Gradio's page keeps them until the answer is there, and changes what it has kept by what comes behind it.
    """
    going_on = visit()
    going_on.choose("plain", 900, prompt=held.prompt())
    going_on.run()
    going_on.page.wait_for_function("document.querySelectorAll('#stage .sv-text .sv-token').length > 3")
    page = visit(f"?run={going_on.stage.get_attribute('data-session')}").page

    def late(route: Any) -> None:
        answer = route.fetch()
        time.sleep(1)
        route.fulfill(response=answer)

    page.route("**/queue/join*", late)
    page.click("#run")
    page.click("#stop")
    page.unroute_all(behavior="wait")
    page.wait_for_selector("#run:not([disabled])")


def test_same_again_writes_the_same_text_and_restores_the_controls(visit: Open, server: str) -> None:
    seen = visit(server=server)
    seen.choose("prompt_lookup", 24, prompt=SAM)
    seen.page.fill("input[name=temperature]", "0.8")
    seen.page.fill("input[name=seed]", "7")
    seen.run()
    seen.wait()
    first = seen.text
    seen.page.fill("#prompt textarea", "something else")
    seen.page.fill("input[name=seed]", "8")
    seen.run("#again")
    seen.wait()
    assert seen.text == first
    assert seen.page.input_value("#prompt textarea") == SAM
    assert seen.page.input_value("input[name=seed]") == "7"


def test_ghosts_are_one_key_away(visit: Open) -> None:
    seen = visit()
    seen.decode("scripted", 40)
    ghosts = seen.stage.locator(".sv-text .is-rejected")
    button = seen.stage.locator(".sv-ghosts")
    assert ghosts.count() > 0
    assert not ghosts.first.is_visible()
    seen.page.evaluate("document.activeElement.blur()")
    seen.page.keyboard.press("g")
    assert ghosts.first.is_visible()
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert not ghosts.first.is_visible()
    seen.page.focus("#prompt textarea")
    seen.page.keyboard.press("g")
    assert not ghosts.first.is_visible(), "a letter typed into the prompt is a letter"


def test_tokens_by_keyboard(visit: Open) -> None:
    seen = visit()
    seen.decode("scripted", 20)
    tokens = seen.stage.locator(".sv-text .sv-token:not(.is-rejected):not(.is-unreached)")
    assert seen.stage.locator('.sv-text [tabindex="0"]').count() == 1
    tokens.first.focus()
    card = seen.stage.locator(".sv-card")
    assert card.is_visible()
    for wanted in ("Token id", "Target probability", "Draft probability", "Step, depth", "likeliest tokens"):
        assert wanted in card.inner_text()
    assert card.locator(".sv-card-alternatives li").count() == 2, "as many as were recorded"
    seen.page.keyboard.press("ArrowRight")
    focused = "document.activeElement.getAttribute('aria-label')"
    assert seen.page.evaluate(focused) == tokens.nth(1).get_attribute("aria-label")
    seen.page.keyboard.press("End")
    assert seen.page.evaluate(focused) == tokens.last.get_attribute("aria-label")
    seen.page.keyboard.press("Home")
    seen.page.keyboard.press("ArrowDown")
    step = "document.activeElement.dataset.step"
    assert seen.page.evaluate(step) == "1"
    seen.page.keyboard.press("Escape")
    assert not card.is_visible()
    assert seen.stage.locator('.sv-text [tabindex="0"]').count() == 1


def test_control_enter_runs(visit: Open) -> None:
    seen = visit()
    seen.choose("plain", 6)
    seen.page.focus("#prompt textarea")
    seen.page.keyboard.press("Control+Enter")
    seen.page.wait_for_selector('#stage .sv-stage[data-phase="finished"]')


def test_an_example_fills_the_prompt(visit: Open) -> None:
    seen = visit()
    seen.page.get_by_role("button", name="A variable renamed").click()
    seen.page.wait_for_function("document.querySelector('#prompt textarea').value.startsWith('Rename the')")


def test_each_method_brings_its_own_options(visit: Open) -> None:
    seen = visit()
    seen.page.select_option("#sv-method-select", "scripted")
    assert seen.page.locator("input[name=depth]").input_value() == "3"
    assert seen.page.locator("input[name=model]").is_visible()
    seen.page.select_option("#sv-method-select", "prompt_lookup")
    assert seen.page.locator("input[name=depth]").input_value() == "10"
    assert seen.page.locator("input[name=model]").count() == 0


def test_bad_input_is_a_sentence_and_loses_nothing(visit: Open) -> None:
    seen = visit()
    seen.decode("plain", 6)
    text, alert = seen.text, seen.stage.locator("[role=alert]")
    for name, value, says in (("max_new_tokens", "0", "from 1 to"), ("top_p", "1.5", "from 0 to 1")):
        seen.page.fill(f"input[name={name}]", value)
        seen.page.click("#run")
        alert.get_by_text(says).wait_for()
        seen.page.wait_for_selector("#run:not([disabled])")
        seen.page.fill(f"input[name={name}]", "1")
    seen.page.fill("#prompt textarea", "   ")
    seen.page.click("#run")
    alert.get_by_text("prompt is empty").wait_for()
    seen.page.wait_for_selector("#run:not([disabled])")
    seen.page.fill("#prompt textarea", "too long a story " * 100)
    seen.page.click("#run")
    alert.get_by_text("The prompt has 5000 tokens.").wait_for()
    assert seen.text == text
    assert seen.page.input_value("#prompt textarea").startswith("too long a story")


def test_a_page_that_misses_messages_asks_for_a_snapshot(visit: Open) -> None:
    """This server drops every third message, and the last one."""
    seen = visit("?drop")
    asked: list[str] = []
    seen.page.on("request", lambda request: "component_server" in request.url and asked.append(request.url))
    seen.page.fill("#prompt textarea", "drop some")
    seen.page.click("#run")
    seen.page.wait_for_function("document.querySelectorAll('#stage .sv-text [data-step]').length > 100")
    seen.page.wait_for_selector("#run:not([disabled])")
    assert asked
    steps = seen.stage.locator(".sv-text .sv-token").evaluate_all("all => all.map(t => Number(t.dataset.step))")
    assert sorted(set(steps)) == list(range(max(steps) + 1)), "no step is missing"


def test_two_visitors_take_turns(visit: Open, held: Held) -> None:
    first, second = visit(), visit()
    first.choose("plain", 900, prompt=held.prompt())
    first.run()
    second.choose("plain", 4)
    second.page.click("#run")
    second.stage.get_by_text("Number 1 in the queue").wait_for()
    first.page.click("#stop")
    first.wait("stopped")
    second.wait()
    assert second.text


def test_a_closed_tab_frees_the_device(visit: Open, held: Held, public_server: str) -> None:
    gone, stays = visit(server=public_server), visit(server=public_server)
    gone.choose("plain", 900, prompt=held.prompt())
    gone.run()
    stopped = gone.stage.get_attribute("data-session")
    gone.page.close()
    stays.decode("plain", 4)
    stays.page.get_by_role("tab", name="Sessions").click()
    stays.page.wait_for_selector(f'#runs tr.is-stopped[data-run="{stopped}"]')


def test_a_saved_run_is_listed_and_reopens_with_the_same_tokens(visit: Open) -> None:
    seen = visit()
    session = seen.decode("scripted", 30, baseline=True)
    marks = "all => all.map(t => [t.className.replace(' is-sibling', ''), t.textContent])"
    live = seen.stage.locator(".sv-text .sv-token").evaluate_all(marks)
    figures = seen.stage.locator(".sv-tiles").inner_text()
    seen.page.get_by_role("tab", name="Sessions").click()
    seen.page.wait_for_selector(f'#runs tr[data-run="{session}"]')
    seen.page.click(f'#runs tr[data-run="{session}"] .sv-open')
    seen.page.wait_for_selector(f'#saved-stage [data-session="{session}"]')
    again = seen.page.locator("#saved-stage .sv-text .sv-token")
    assert again.evaluate_all(marks) == live
    assert seen.page.locator("#saved-stage .sv-tiles").inner_text() == figures
    link = visit(f"?view=sessions&run={session}")
    link.page.wait_for_selector(f'#saved-stage [data-session="{session}"]')
    assert link.page.locator("#saved-stage .sv-text .sv-token").count() == len(live)


def test_an_address_of_no_run_is_a_sentence(visit: Open) -> None:
    seen = visit("?view=sessions&run=nobody")
    seen.page.locator("#saved-stage [role=alert]").get_by_text("There is no run 'nobody'").wait_for()
