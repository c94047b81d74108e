"""A real Chromium on the real app, started once, with the embedded model."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
START_S = 120
PATIENCE_MS = 90_000
"""Long, since other work may share the machine; nothing waits longer than it must."""


@dataclass
class Visit:
    """An open page with what it did wrong and whom it asked."""

    page: Any
    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    @property
    def stage(self) -> Any:
        return self.page.locator("#stage .sv-stage")

    @property
    def text(self) -> str:
        """The output without its ghosts."""
        shown = ".sv-text .sv-token:not(.is-rejected):not(.is-unreached)"
        parts = self.stage.locator(shown).all_text_contents()
        return "".join(parts)

    def choose(self, method: str, num_tokens: int, baseline: bool = False, prompt: str | None = None) -> None:
        if prompt is not None:
            self.page.fill("#prompt textarea", prompt)
        self.page.select_option("#sv-method-select", method)
        self.page.fill("input[name=max_new_tokens]", str(num_tokens))
        self.page.locator("#baseline input").set_checked(baseline)

    def run(self, button: str = "#run") -> None:
        """Press and wait until the run has begun."""
        before = self.stage.get_attribute("data-session")
        self.page.click(button)
        changed = "before => document.querySelector('#stage .sv-stage').dataset.session !== before"
        self.page.wait_for_function(changed, arg=before)

    def wait(self, phase: str = "finished") -> None:
        self.page.wait_for_selector(f'#stage .sv-stage[data-phase="{phase}"]')
        self.page.wait_for_selector("#run:not([disabled])")


def chromium() -> str:
    """Where a Chromium is; skips only where there is none at all."""
    known = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("CHROMIUM") or next((path for name in known if (path := shutil.which(name))), None)
    if found:
        return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    if not Path(own).exists():
        pytest.skip("no Chromium: install one, or run `python -m playwright install chromium`")
    return own


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    path = chromium()
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the app keeps its runs."""
    return tmp_path_factory.mktemp("app") / "runs.db"


@pytest.fixture(scope="session")
def server(database: Path) -> Iterator[str]:
    """The app with the embedded model."""
    yield from serve(database.parent, str(ROOT / "app.py"), "--db", str(database))


@pytest.fixture(scope="session")
def scripted_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same page over a device that writes hostile text; see scripted_app.py."""
    yield from serve(tmp_path_factory.mktemp("scripted"), str(Path(__file__).with_name("scripted_app.py")))


@pytest.fixture(scope="session")
def public_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same for many visitors."""
    script = str(Path(__file__).with_name("scripted_app.py"))
    yield from serve(tmp_path_factory.mktemp("public"), script, "--public")


def serve(folder: Path, *command: str) -> Iterator[str]:
    """Start, wait, give the address, stop."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (folder / "app.log").open("w+")
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = subprocess.Popen(
        [sys.executable, *command, "--port", str(port)],
        cwd=ROOT,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": paths},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_it_answers(url, process, folder / "app.log")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            pytest.fail(f"app.py ended with {process.returncode}: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"app.py does not answer after {START_S} s: {log.read_text()[-2000:]}")


@pytest.fixture
def visit(browser: Any, server: str) -> Iterator[Any]:
    """A function that opens the page in a window of its own; at the end no page may have thrown anything."""
    contexts: list[Any] = []
    visits: list[Visit] = []

    def open_page(
        address: str = "", width: int = 1440, height: int = 1000, server: str = server, **options: Any
    ) -> Visit:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        opened = Visit(contexts[-1].new_page())
        opened.page.set_default_timeout(PATIENCE_MS)
        visits.append(opened)
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.page.on("console", lambda message: message.type == "error" and opened.errors.append(message.text))
        opened.page.on("request", lambda request: opened.hosts.add(urlsplit(request.url).hostname or "127.0.0.1"))
        opened.page.goto(f"{server}/{address}")
        opened.page.wait_for_selector(".sv-stage", state="attached")
        return opened

    yield open_page
    for context in contexts:
        context.close()
    for opened in visits:
        assert not opened.errors
        assert opened.hosts <= {"127.0.0.1"}, "only our own server is asked"
