"""A whole conversation on the page: said before the prompt, gone on from an answer, kept with the run, looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Open = Callable[..., Any]
MARKUP = '<img src=x onerror="window.hacked=1">'


def fold(seen: Any, name: str, form: str = "settings") -> Any:
    """A fold of the form, opened."""
    found = seen.page.locator(f"#{form} .is-{name}")
    if found.get_attribute("open") is None:
        found.locator("summary").click()
    return found


def test_a_beginner_sees_prompt_method_and_run(visit: Open) -> None:
    seen = visit()
    for name in ("own", "conversation", "stopping"):
        assert seen.page.locator(f"#settings .is-{name}").get_attribute("open") is None
    titles = seen.page.locator("#settings summary").all_inner_texts()
    assert any("hub id, folder or GGUF file" in title for title in titles)
    assert any("system prompt, earlier turns, template" in title for title in titles)
    assert any("stop texts, time limit, rule" in title for title in titles)


def test_a_conversation_is_said_kept_and_gone_on_with(visit: Open) -> None:
    seen = visit()
    around = fold(seen, "conversation")
    around.get_by_label("System prompt").fill(f"Be brief. {MARKUP}")
    around.get_by_role("button", name="Add a turn").click()
    seen.page.get_by_label("You, turn 1").fill("Hi.")
    seen.page.get_by_label("Model, turn 1").fill(MARKUP)
    session = seen.decode("scripted", 12, prompt="And then?")
    assert "system prompt, 1 earlier turn" in seen.stage.locator(".sv-status-meta").inner_text()
    seen.stage.locator(".sv-asked summary").click()
    seen.stage.locator(".sv-message").first.wait_for()
    assert seen.stage.locator(".sv-message-text").all_inner_texts() == [
        f"Be brief. {MARKUP}",
        "Hi.",
        MARKUP,
        "And then?",
    ]
    assert seen.stage.locator(".sv-asked .sv-token-id").all_inner_texts() == ["1", "2", "3"]
    answer = seen.text
    seen.page.get_by_role("button", name="Continue from this answer").click()
    seen.page.wait_for_function("document.querySelector('#prompt textarea').value === ''")
    assert seen.page.get_by_label("You, turn 2").input_value() == "And then?"
    assert seen.page.get_by_label("Model, turn 2").input_value()[:20] == answer[:20]
    seen.decode("scripted", 6, prompt="Go on.")
    assert "2 earlier turns" in seen.stage.locator(".sv-status-meta").inner_text()
    link = visit(f"?view=inspect&run={session}")
    link.page.locator("#inspector .sv-asked summary").click()
    link.page.locator("#inspector .sv-message").first.wait_for()
    assert link.page.locator("#inspector .sv-message-text").nth(2).inner_text() == MARKUP
    for page in (seen.page, link.page):
        assert page.evaluate("window.hacked") is None
        assert page.locator(".sv-root img").count() == 0


def test_turns_are_removed_and_cleared(visit: Open) -> None:
    seen = visit()
    around = fold(seen, "conversation")
    around.get_by_label("System prompt").fill("Be brief.")
    for _ in range(2):
        around.get_by_role("button", name="Add a turn").click()
    seen.page.get_by_label("You, turn 2").fill("Second.")
    seen.page.get_by_role("button", name="Remove turn 1").click()
    assert seen.page.get_by_label("You, turn 1").input_value() == "Second."
    around.get_by_role("button", name="Clear").click()
    assert (around.locator(".sv-turn").count(), around.get_by_label("System prompt").input_value()) == (0, "")


def test_the_prompts_tokens_are_listed_or_a_sentence_says_why_not(visit: Open) -> None:
    seen = visit()
    button = fold(seen, "conversation").get_by_role("button", name="Show its tokens")
    button.click()
    tokens = seen.page.locator("#prompt-read .sv-token-list li")
    tokens.first.wait_for()
    assert seen.page.locator("#prompt-read .sv-field-label").inner_text() == "3 tokens as toy reads them"
    assert "${Object.assign" in tokens.first.inner_text()
    seen.page.fill("#prompt textarea", " ")
    button.click()
    seen.page.locator("#prompt-read [role=alert]").get_by_text("The prompt is empty").wait_for()
    assert seen.page.evaluate("window.hacked") is None


def test_stop_texts_rule_and_time_limit_are_asked_for_and_bad_ones_are_sentences(visit: Open) -> None:
    seen = visit()
    stopping = fold(seen, "stopping")
    stopping.locator("textarea").fill(f"{MARKUP}\n\\n\\n")
    stopping.locator("select[name=rule]").select_option("greedy")
    stopping.locator("input[name=timeout_s]").fill("30")
    assert "2 stop texts, 30 s, greedy" in stopping.locator("summary").inner_text()
    session = seen.decode("scripted", 6)
    seen.stage.locator(".sv-asked summary").click()
    told = seen.stage.locator(".sv-asked-settings")
    told.wait_for()
    assert f"stops at '{MARKUP}'" in told.inner_text()
    assert "at most 30 s" in told.inner_text()
    assert session
    stopping.locator("select[name=rule]").select_option("rejection")
    seen.page.click("#run")
    seen.stage.locator("[role=alert]").get_by_text("needs a temperature above 0").wait_for()
    seen.page.wait_for_selector("#run:not([disabled])")


def test_a_race_is_held_in_a_conversation(visit: Open) -> None:
    seen = visit("?view=compare")
    fold(seen, "conversation", "race-settings").get_by_label("System prompt").fill("Be brief.")
    seen.page.fill("#race-settings input[name=max_new_tokens]", "4")
    ids = "document.querySelector('#race-stage .sv-race').dataset.ids"
    recorded = seen.page.evaluate(ids)
    seen.page.click("#race-run")
    seen.page.wait_for_function(f"recorded => {ids} !== recorded", arg=recorded)
    seen.page.wait_for_selector("#race-run:not([disabled])")
    seen.page.get_by_role("tab", name="Sessions").click()
    seen.page.locator("#runs .sv-open").first.click()
    seen.page.locator("#saved-stage .sv-status-meta").get_by_text("chat template, system prompt").wait_for()
