"""Take the pictures of docs/images from a running app: `python tests/browser/screenshots.py URL [METHOD] [EXAMPLE]`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
NUM_TOKENS = "160"
NARROW = 820
WIDE = {"width": 1440, "height": 1000}
WITH_CHARTS = {"width": 1440, "height": 1240}
"""Text, tree and the charts below them at once."""
RACED = "A variable renamed"
STEP = 4


def run(page: Any, method: str, example: str) -> None:
    """Decode one example to its end."""
    page.get_by_role("button", name=example).click()
    page.wait_for_timeout(800)
    is_narrow = page.viewport_size["width"] < NARROW
    page.select_option("#sv-method-select", method)
    if is_narrow:
        page.locator("summary", has_text="Sampling").click()
    page.fill("input[name=max_new_tokens]", NUM_TOKENS)
    if is_narrow:
        page.locator("summary", has_text="Sampling").click()
    page.click("#run")
    page.wait_for_selector('#stage .sv-stage[data-phase="finished"]')
    page.wait_for_selector("#run:not([disabled])")
    page.mouse.move(5, 5)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(600)


def views(page: Any, url: str) -> None:
    """Every other view in light and dark, with something in it."""
    page.goto(f"{url}?view=compare")
    page.wait_for_selector("#race-settings .sv-lane-row")
    page.get_by_role("button", name=RACED).last.click()
    page.wait_for_timeout(800)
    page.locator(".sv-lane-row .sv-lane-line select").nth(1).select_option("chimera")
    page.click("#race-run")
    page.wait_for_timeout(500)
    page.wait_for_selector("#race-run:not([disabled])")
    page.wait_for_timeout(4000)
    picture(page, "compare")
    shown = ("inspect", f"&run=recorded&step={STEP}"), ("sessions", ""), ("bench", ""), ("learn", "")
    for view, rest in shown:
        page.goto(f"{url}?view={view}{rest}")
        page.wait_for_timeout(6000)
        picture(page, view)


def picture(page: Any, name: str) -> None:
    """What is on screen, light and dark."""
    page.mouse.move(5, 5)
    for theme in ("light", "dark"):
        page.evaluate("isDark => document.body.classList.toggle('dark', isDark)", theme == "dark")
        page.wait_for_timeout(1500)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=FOLDER / f"{name}-{theme}.png")
    page.evaluate("document.body.classList.remove('dark')")


def main(url: str, method: str = "token_recycling", example: str = "Facts about the library") -> None:
    """The playground light, dark with a card and ghosts, narrow; then the other views."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        wide = browser.new_page(viewport=WITH_CHARTS)
        narrow = browser.new_page(viewport={"width": 390, "height": 844}, device_scale_factor=2)
        for page in (wide, narrow):
            page.set_default_timeout(120_000)
            page.goto(url)
            page.wait_for_selector("#stage .sv-stage")
            run(page, method, example)
        wide.evaluate("scrollTo(0, 0)")
        wide.screenshot(path=FOLDER / "playground-light.png")
        wide.evaluate("document.body.classList.add('dark')")
        wide.keyboard.press("g")
        wide.locator("#stage .sv-text .is-accepted").nth(5).focus()
        wide.evaluate("scrollTo(0, 0)")
        wide.wait_for_timeout(500)
        wide.screenshot(path=FOLDER / "playground-dark.png")
        wide.evaluate("document.body.classList.remove('dark')")
        wide.set_viewport_size(WIDE)
        views(wide, url)
        narrow.screenshot(path=FOLDER / "playground-narrow.png")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
