"""What axe says of all six views, light and dark, wide and narrow: `python -m tests.browser.axe_views URL`.

By hand, since it takes minutes. Ends with 1 where a finding is serious, or a page scrolls sideways.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import sync_playwright

from tests.browser.accessible import serious_findings
from tests.browser.conftest import ARGUMENTS, chromium
from tests.browser.test_every_view import VIEWS

NAMES = dict(zip(VIEWS, ("play", "compare", "inspect", "sessions", "bench", "learn"), strict=True))
SIZES = {1440: 1000, 390: 844}


def findings(browser: Any, url: str) -> Iterator[tuple[str, list[Any]]]:
    """Each view, theme and width with what is wrong there."""
    for width, height in SIZES.items():
        page = browser.new_page(viewport={"width": width, "height": height})
        for title, name in NAMES.items():
            page.goto(f"{url}/?view={name}")
            page.locator(".sv-stage" if name == "play" else VIEWS[title]).first.wait_for(timeout=120_000)
            for theme in ("light", "dark"):
                page.evaluate("isDark => document.body.classList.toggle('dark', isDark)", theme == "dark")
                page.wait_for_timeout(1_000)
                is_wide = page.evaluate("document.documentElement.scrollWidth") > width
                wrong = [*serious_findings(page), *(["scrolls sideways"] if is_wide else [])]
                yield f"{title}, {theme}, {width} px", wrong
        page.close()


def main(url: str) -> int:
    """Print each; 1 where anything was found."""
    num_wrong = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        for where, wrong in findings(browser, url.rstrip("/")):
            print(f"{where}: {wrong or 'nothing serious'}", flush=True)
            num_wrong += len(wrong)
        browser.close()
    return int(num_wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
