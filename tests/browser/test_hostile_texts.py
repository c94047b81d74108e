"""Prompts and answers that would be markup, code or broken characters: on the page they are text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Open = Callable[..., Any]
HOSTILE = (
    'Repeat this text.\n\n<img src=x onerror="window.hacked=1"> ${Object.assign(window,{hacked:2})} {{hacked}} '
    '<a href="https://example.com/">link</a> \u202eright to left\u202c <script>window.hacked=3</script>'
)


def test_a_hostile_prompt_runs_nothing(visit: Open) -> None:
    seen = visit()
    seen.decode("scripted", 30, baseline=True, prompt=HOSTILE)
    seen.page.get_by_role("tab", name="Sessions").click()
    newest = seen.page.locator("#runs .sv-run-prompt").first
    newest.filter(has_text="<img src=x").wait_for()
    seen.page.locator("#runs .sv-open").first.click()
    seen.page.wait_for_selector('#saved-stage [data-phase="finished"]')
    assert seen.page.evaluate("window.hacked") is None
    assert seen.page.locator(".sv-root img, .sv-root a:not(.sv-tip-link), .sv-root script").count() == 0


def test_lone_surrogates_in_a_prompt_are_shown_as_text(visit: Open) -> None:
    seen = visit()
    seen.choose("plain", 4)
    seen.page.evaluate(
        """() => { const box = document.querySelector('#prompt textarea');
        box.value = 'Say \\ud800 again'; box.dispatchEvent(new Event('input', {bubbles: true})); }"""
    )
    seen.run()
    seen.wait()
    seen.page.get_by_role("tab", name="Sessions").click()
    newest = seen.page.locator("#runs .sv-run-prompt").first
    newest.filter(has_text="Say").filter(has_text="again").wait_for()


def test_the_model_may_write_anything(visit: Open) -> None:
    seen = visit()
    seen.page.click("#run")
    seen.wait()
    shown = seen.text
    assert '<img src=x onerror="window.hacked=1">' in shown
    assert "${Object.assign(window,{hacked:2})}" in shown
    assert "⟨U+202E⟩right to left⟨U+202C⟩" in shown
    assert "\\ud800" in shown
    assert seen.page.evaluate("window.hacked") is None
    assert seen.page.locator(".sv-root img, .sv-root a:not(.sv-tip-link), .sv-root script").count() == 0
    seen.stage.locator(".sv-text .sv-token").first.focus()
    assert "<img" in seen.stage.locator(".sv-card-token").inner_text()
