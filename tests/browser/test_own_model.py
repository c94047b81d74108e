"""A model of the visitor's own: looked at, loaded, stopped, remembered in this browser; never on a public page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.browser.test_conversation import fold

Open = Callable[..., Any]
MARKUP = '<img src=x onerror="window.hacked=1">'


def name(seen: Any, text: str, form: str = "settings") -> Any:
    """The form with a model's name in it."""
    own = fold(seen, "own", form)
    own.locator("input[name=own_model]").fill(text)
    return own


def test_a_model_is_looked_at_loaded_run_and_remembered(visit: Open) -> None:
    seen = visit()
    own = name(seen, "own")
    own.get_by_text("Needs 1.0 GB; 2.0 GB are free.").wait_for()
    own.locator("select[name=dtype]").select_option("fp32")
    own.get_by_role("button", name="Load", exact=True).click()
    seen.page.locator("#settings .sv-recent .sv-open").wait_for()
    seen.page.wait_for_function("document.querySelector('#model input').value === 'own'")
    seen.decode("plain", 4)
    seen.reload()
    recent = fold(seen, "own").locator(".sv-recent li")
    assert recent.count() == 1
    assert "fp32" in recent.inner_text()
    recent.locator(".sv-open").click()
    assert seen.page.locator("#settings input[name=own_model]").input_value() == "own"
    seen.page.get_by_role("button", name="Forget own").click()
    assert seen.page.locator("#settings .sv-recent li").count() == 0
    assert seen.page.evaluate("localStorage.getItem('specviz-models')") == "[]"


def test_a_model_of_ones_own_is_loaded_for_a_race(visit: Open) -> None:
    page = (seen := visit("?view=compare")).page
    name(seen, "own-slow", "race-settings").get_by_role("button", name="Load", exact=True).click()
    stage = page.locator("#race-stage")
    stage.get_by_text("Reading own-slow 40 %").wait_for()
    assert stage.locator(".sv-lane").count() == 0, "the race before it has left"
    page.click("#race-stop")
    stage.locator("[role=alert]").get_by_text("Stopped while the model was loading").wait_for()
    name(seen, "own", "race-settings").get_by_role("button", name="Load", exact=True).click()
    page.locator("#race-settings .sv-recent .sv-open").wait_for()
    page.wait_for_function("document.querySelector('#race-model input').value === 'own'")
    page.fill("#race-settings input[name=max_new_tokens]", "4")
    page.click("#race-run")
    stage.locator(".sv-lane .sv-lane-title").first.wait_for()
    page.wait_for_selector("#race-run:not([disabled])")
    assert not stage.locator(".sv-alert").first.is_visible()


def test_what_is_too_large_or_no_model_is_a_sentence(visit: Open) -> None:
    seen = visit()
    name(seen, "own-huge").get_by_text("0.0 GB are free").wait_for()
    own = name(seen, MARKUP)
    own.get_by_text(f"The Hub has no model {MARKUP}.").wait_for()
    own.get_by_role("button", name="Load", exact=True).click()
    seen.stage.locator("[role=alert]").get_by_text(f"Model {MARKUP} cannot be loaded.").wait_for()
    seen.page.wait_for_selector("#run:not([disabled])")
    assert seen.page.locator("#settings .sv-recent li").count() == 0
    assert seen.page.evaluate("window.hacked") is None
    seen.decode("plain", 4)


def test_stop_works_while_a_model_loads(visit: Open) -> None:
    seen = visit()
    name(seen, "own-slow").get_by_role("button", name="Load", exact=True).click()
    seen.stage.get_by_text("Reading own-slow 40 %").wait_for()
    seen.page.click("#stop")
    seen.stage.locator("[role=alert]").get_by_text("Stopped while the model was loading").wait_for()
    seen.page.wait_for_selector("#run:not([disabled])")
    seen.decode("plain", 4)


def test_a_public_page_has_no_such_form(visit: Open, public_server: str) -> None:
    seen = visit(server=public_server)
    seen.page.locator("#settings .is-conversation").wait_for()
    assert seen.page.locator("#settings .is-own, #race-settings .is-own, #bench-needs").count() == 0
    seen.page.select_option("#sv-method-select", "scripted")
    assert seen.page.locator("select[name=model] option").all_inner_texts() == ["auto", "toy-draft"]


def test_a_fallback_is_chosen_among_methods_and_brings_its_options(visit: Open) -> None:
    seen = visit()
    seen.page.select_option("#sv-method-select", "prompt_lookup")
    seen.page.select_option("select[name=fallback]", "scripted")
    assert seen.page.locator("input[name='fallback.depth']").input_value() == "3"
    seen.page.select_option("select[name=fallback]", "broken")
    seen.page.select_option("select[name=fallback]", "none")
    assert seen.page.locator("input[name='fallback.depth']").count() == 0
