"""Put a public instance behind nginx on a path of its own, as docs/hosting.md has it, and walk it in a browser.

    CHROMIUM="$(python scripts/provide_chromium.py)" python scripts/try_nginx.py [--nginx PROGRAM] [--out FOLDER]

nginx runs with the recipe as it stands in the docs, but for the instance's port. A run and a race are decoded through
it, and tokens must come while the run goes on. Prints what was seen; exits with 1 where something was not so. `--out`:
a picture of each view.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 300.0
PATH = "/specviz"
CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/a;
  uwsgi_temp_path {folder}/b; scgi_temp_path {folder}/c;
  server {{ listen 127.0.0.1:{port}; absolute_redirect off; {recipe} }}
}}
"""


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nginx", default="nginx")
    parser.add_argument("--out", type=Path)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with instance(folder) as app_port, nginx(flags.nginx, folder, app_port) as port:
            found = walk(f"http://127.0.0.1:{port}{PATH}", flags.out)
    for what, is_so in found.items():
        print(f"{'yes' if is_so else 'NO '}  {what}")
    return 0 if all(found.values()) else 1


@contextlib.contextmanager
def instance(folder: Path) -> Iterator[int]:
    """A public instance; its port."""
    port = free_port()
    environment = {**os.environ, "GRADIO_ROOT_PATH": PATH, "SPECVIZ_MODEL": "story", "SPECVIZ_PROXIES": "1"}
    flags = ["--public", "--hosts", "specviz.example.org", "--port", str(port), "--db", str(folder / "runs.db")]
    with (
        (folder / "log").open("w") as log,
        running([sys.executable, str(ROOT / "app.py"), *flags], cwd=ROOT, env=environment, stdout=log, stderr=log),
    ):
        wait_for(f"http://127.0.0.1:{port}/")
        yield port


@contextlib.contextmanager
def nginx(program: str, folder: Path, app_port: int) -> Iterator[int]:
    """The proxy before it; its port."""
    port = free_port()
    (recipe,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8"), re.DOTALL)
    config = CONFIG.format(folder=folder, port=port, recipe=recipe.replace(":7860/", f":{app_port}/"))
    (folder / "nginx.conf").write_text(config)
    with running([program, "-p", str(folder), "-c", str(folder / "nginx.conf")]):
        wait_for(f"http://127.0.0.1:{port}{PATH}/")
        yield port


@contextlib.contextmanager
def running(command: list[str], **how: Any) -> Iterator[None]:
    """A program, until the end."""
    process = subprocess.Popen(command, **how)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def walk(url: str, out: Path | None) -> dict[str, bool]:
    """What was seen."""
    found: dict[str, bool] = {}
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or None
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(PATIENCE_S * 1000)
        asked: set[str] = set()
        errors: list[str] = []
        page.on("request", lambda request: asked.add(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.wait_for_selector("#stage .sv-stage", state="attached")
        found["the address without its closing slash leads there"] = page.url.startswith(f"{url}/")
        found["a run: tokens come while it goes on"] = run(page)
        picture(page, out, "playground")
        page.get_by_role("tab", name="Compare").click()
        page.click("#race-run")
        page.wait_for_function("() => /identical|near-tie/.test(document.querySelector('#race-stage').innerText)")
        found["a race: verdicts are there"] = True
        picture(page, out, "compare")
        page.get_by_role("tab", name="Sessions").click()
        page.wait_for_selector("#runs tbody tr")
        found["the runs are in this browser's list, marked private"] = "private" in page.inner_text("#runs")
        picture(page, out, "sessions")
        found["a saved run opens by its link"] = opens_by_link(page, url)
        outside = [one for one in asked if one.startswith("http") and not one.startswith(f"{url}/") and one != url]
        found[f"nothing is asked outside of {PATH}/ {outside[:2] or ''}"] = not outside
        found[f"nothing was thrown {errors[:2] or ''}"] = not errors
        browser.close()
    return found


def run(page: Any) -> bool:
    """Whether the text was seen to grow."""
    page.fill("#prompt textarea", "Write a long story about a fox.")
    page.fill("input[name=max_new_tokens]", "400")
    page.click("#run")
    lengths: set[int] = set()
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and not (len(lengths) > 1 and page.locator("button#run").is_enabled()):
        lengths.add(len(page.inner_text("#stage .sv-text")))
        page.wait_for_timeout(100)
    return len(lengths) > 3


def opens_by_link(page: Any, url: str) -> bool:
    """Another browser, which has made nothing, with the address alone."""
    page.locator("#runs tbody tr button").first.click()
    page.wait_for_function("() => new URLSearchParams(location.search).get('run')")
    address = page.url
    other = page.context.browser.new_page()
    other.set_default_timeout(PATIENCE_S * 1000)
    other.goto(address)
    other.wait_for_function("() => document.querySelector('#saved-stage .sv-text')?.innerText.length > 20")
    return bool(address.startswith(url))


def picture(page: Any, out: Path | None, name: str) -> None:
    """Where pictures are wanted."""
    if out:
        out.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=out / f"{name}.png")


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str) -> None:
    """Until it answers. Raises TimeoutError."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=60):
            return
        time.sleep(0.3)
    raise TimeoutError(f"{url} does not answer")


if __name__ == "__main__":
    sys.exit(main())
