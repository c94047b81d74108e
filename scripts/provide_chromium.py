"""Sees to it that the page tests have a Chromium that starts; says which one, or why there is none.

The one named by CHROMIUM or found on PATH is taken as it is; else Playwright's own is downloaded;
else the system's package is installed, where this is root's machine. Prints its path, or nothing
for Playwright's own. Never fails: without a browser the page tests say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from playwright.sync_api import Error, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LIMIT_S = 900


def on_path() -> str | None:
    """A Chromium that is named or on PATH and starts."""
    names = (os.environ.get("CHROMIUM", ""), *NAMES)
    found = (path for name in names if name and (path := shutil.which(name)))
    return next((path for path in found if starts(path)), None)


def starts(path: str | None) -> bool:
    """Whether this executable, or Playwright's own where it is None, opens a page."""
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path)
            browser.new_page().close()
            browser.close()
        except Error:
            return False
    return True


def run(*command: str) -> bool:
    """Whether a command succeeded, its output kept back."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def may_use_apt() -> bool:
    """Whether system packages can be installed here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_with_playwright() -> bool:
    """Download Playwright's Chromium, and the libraries it needs where that is allowed."""
    install = (sys.executable, "-m", "playwright", "install")
    return (may_use_apt() and run(*install, "--with-deps", "chromium")) or run(*install, "chromium")


def install_with_apt() -> bool:
    """Install the distribution's Chromium, where that is allowed."""
    install = ("apt-get", "install", "-y", "--no-install-recommends", "chromium")
    return may_use_apt() and run("apt-get", "update") and run(*install)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def provide() -> str:
    """The path of a Chromium that starts; empty for Playwright's own, and for none."""
    if path := on_path():
        return path
    if starts(None):
        return ""
    say("No Chromium found; downloading one …")
    if install_with_playwright() and starts(None):
        return ""
    if install_with_apt() and (path := on_path()):
        return path
    say("No Chromium could be had; install one (package chromium) to run the page tests.")
    return ""


if __name__ == "__main__":
    print(provide())
