"""One Chromium for the walks of a worker, on two servers that are started once.

`scripted_server` (and `public_server`, of the same process) is the page over a scripted device, which is quick, writes
what a test knows, and stands still for as long as a test wants (`held`): see scripted_app.py. `server` is the real app
with the embedded model, for what only that can show. A test has windows of its own (`visit`).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.browser.scripts_page import Scripts
from tests.browser.windows import PATIENCE_MS, Visit, Windows, new_page

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


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
def windows(browser: Any) -> Windows:
    """For all tests."""
    return Windows(browser)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with the embedded model."""
    folder, port = tmp_path_factory.mktemp("app"), free_port()
    yield from serve(folder, port, str(ROOT / "app.py"), "--db", str(folder / "runs.db"))


@dataclass(frozen=True)
class Scripted:
    """The page over the scripted device; see scripted_app.py."""

    folder: Path
    port: int = field(default_factory=lambda: free_port())
    public_port: int = field(default_factory=lambda: free_port())


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    """The server of the next two."""
    given = Scripted(tmp_path_factory.mktemp("scripted"))
    flags = ("--public-port", str(given.public_port), "--folder", str(given.folder))
    for _ in serve(given.folder, given.port, str(Path(__file__).with_name("scripted_app.py")), *flags):
        yield given


@pytest.fixture(scope="session")
def scripted_server(scripted: Scripted) -> str:
    """The same page over a device that writes hostile text."""
    return f"http://127.0.0.1:{scripted.port}"


@pytest.fixture(scope="session")
def public_server(scripted: Scripted) -> str:
    """The same for many visitors."""
    return f"http://127.0.0.1:{scripted.public_port}"


@pytest.fixture(scope="session")
def database(scripted: Scripted) -> Path:
    """Where both keep their runs."""
    return scripted.folder / "runs.db"


@dataclass(frozen=True)
class Held:
    """A run, of more than sixteen tokens on the scripted server, that stands still past its beginning."""

    folder: Path
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def prompt(self, num_run: int = 1) -> str:
        """The prompt whose first, or another, run is held."""
        return f"hold {self.name} {num_run}"

    def let_go(self) -> None:
        """It goes on; a run that was told to stop does so by itself."""
        (self.folder / self.name).touch()


@pytest.fixture
def held(scripted: Scripted) -> Iterator[Held]:
    """Let go at the end of the test, whatever happened."""
    given = Held(scripted.folder)
    yield given
    given.let_go()


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(folder: Path, port: int, *command: str) -> Iterator[str]:
    """Start, wait, give the address, stop."""
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
        process.kill()  # a polite end waits for pages that are still open
        process.wait()
        log.close()


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < until:
        if process.poll() is not None:
            pytest.fail(f"app.py ended with {process.returncode}: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"app.py does not answer: {log.read_text()[-2000:]}")


@pytest.fixture
def visit(windows: Windows, request: pytest.FixtureRequest) -> Iterator[Callable[..., Visit]]:
    """A function that opens the page in a window of its own, on the scripted server unless another one is given.

    At the end no page may have thrown anything.
    """
    visits: list[tuple[Visit, bool]] = []

    def open_page(
        address: str = "", width: int = 1440, height: int = 1000, server: str | None = None, **options: Any
    ) -> Visit:
        opened = Visit(windows.take(width, height, **options))
        visits.append((opened, not options))
        opened.watch()
        opened.open(address, server or request.getfixturevalue("scripted_server"))
        return opened

    yield open_page
    for opened, is_plain in visits:
        opened.watch(is_over=True)
        windows.give_back(opened.page, is_plain=is_plain)
    for opened, _ in visits:
        assert not opened.errors
        assert opened.hosts <= {"127.0.0.1"}, "only our own server is asked"


@pytest.fixture(scope="session")
def blank_page(browser: Any) -> Iterator[Scripts]:
    """One page for every test of the scripts' functions."""
    page = Scripts(new_page(browser, viewport={"width": 1200, "height": 800}))
    yield page
    page.close()


@pytest.fixture
def scripts(blank_page: Scripts) -> Iterator[Scripts]:
    """The blank page, empty; at the end nothing may have been thrown."""
    blank_page.clear()
    yield blank_page
    assert not blank_page.errors
